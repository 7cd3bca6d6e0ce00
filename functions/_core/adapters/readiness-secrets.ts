import { lintSource } from "@secretlint/core";
import { creator } from "@secretlint/secretlint-rule-preset-recommend";
import type { Token } from "../readiness/parsers.ts";

const CONFIG = { rules: [{ id: "preset", rule: creator, options: {} }] };
/** What one of the preset's rules could match at all: most files hold none of it, and need no scan. */
const WORTH =
  /secret|access_?key|gh[opusr]_|github_pat_|gl[a-z]{2,6}-|glc_|glsa_|xox|hooks\.slack|SG\.|shp[a-z]{2}_|sk-|gsk_|hf_|lin_api|ntn_|ops_ey|hv[sbr]\.|s\.[A-Za-z0-9]{24}|dapi|dckr_|figd_|-----BEGIN|:\/\/[^\s/:@]{0,100}:[^\s/@]{1,200}@|private_key|npm_|_auth|vercel|vc[kpair]_/i;
/** More text than a person writes is not gone through token by token. */
const MOST_TEXT = 1_000_000;

/**
 * The tokens of known services in a text: secretlint's recommended rules, which know prefixes and checksums and no
 * entropy.
 *
 * @example
 * await findTokens("app.py", text); // [{ kind: "github", start: 12, end: 52 }]
 */
export async function findTokens(path: string, text: string): Promise<Token[]> {
  if (text.length > MOST_TEXT || !WORTH.test(text)) return [];
  const { messages } = await lintSource({
    source: { filePath: `/${path}`, content: text, contentType: "text" },
    options: { config: CONFIG },
  });
  return messages.map(({ ruleId, range: [start, end] }) => ({
    kind: ruleId.replace("@secretlint/secretlint-rule-", ""),
    start,
    end,
  }));
}
