import { conclude, type Evidence, type Rule } from "../rule.ts";
import { withCode } from "../models/code.ts";
import { logCalls, shownBy } from "../models/loggers.ts";
import { isSecretName } from "../models/sensitive.ts";
import { place, unreadSources } from "../models/servers.ts";

/** Files that a person runs by hand: what they print, that person sees. */
export const BY_HAND =
  /(^|\/)(scripts?|bench|benchmarks?|seeds?|cli|bin|tools|commands|cookbook|notebooks?)\/|(^|\/)seed[^/]*$/i;
const ABOUT_TEXT = /(^|\/)(lexer|tokeni[sz]|parser|grammar|nlp|llm|prompt)/i;
const MOST = 40;

/** Logs are copied, shipped and read by more people than any database. */
export const loggedSecrets: Rule = {
  id: "OBS-03",
  name: "logged-secrets",
  area: "observability",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "No password, token or key is written into a log line",
  remedy: "log an id, or the first characters of a hash, and never the value",
  check: withCode((repository) => {
    const evidence: Evidence[] = [];
    const calls = logCalls(repository);
    for (const { file, call } of calls) {
      for (const { name } of shownBy(call)) {
        const whole = /^(process\.env|os\.environ|req\.headers|request\.headers)$/.test(name);
        if (!whole && (!isSecretName(name) || ABOUT_TEXT.test(file.path))) continue;
        const message = whole
          ? `${call.callee} writes all of ${name}`
          : `${call.callee} writes ${name}`;
        evidence.push(
          place("gap", { file, line: call.line }, message, BY_HAND.test(file.path) ? "p2" : "p1"),
        );
        break;
      }
    }
    const gaps = evidence.slice(0, MOST);
    const [first] = calls;
    if (gaps.length === 0 && first) {
      gaps.push(
        place(
          "strength",
          { file: first.file, line: first.call.line },
          `none of ${calls.length} logging calls names a secret`,
        ),
      );
      gaps.push(...unreadSources(repository));
    }
    return conclude(gaps, { status: "not-applicable", summary: "nothing is logged" });
  }),
};
