import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseScript } from "../../functions/_core/adapters/lint-parser.ts";
import { parseSql } from "../../functions/_core/adapters/lint-sql.ts";
import {
  lint,
  type LintOptions,
  type LintResult,
  type SourceFile,
} from "../../functions/_core/lint/lint.ts";
import { ROOT } from "./sql-files.ts";

/** One idea: some files, and each finding that they must have, as `path:line rule`. */
export type Fixture = { name: string; idea: string; files: SourceFile[]; expected: string[] };

const FOLDER = join(ROOT, "tests/lint-fixtures");

/** A JWT that no server signed, with these claims. */
export function jwt(claims: object): string {
  const part = (value: string) => Buffer.from(value).toString("base64url");
  const signature = part("not a signature, but as long as one is");
  return [part('{"alg":"HS256","typ":"JWT"}'), part(JSON.stringify(claims)), signature].join(".");
}

/** Keys are made here, so that none is written in a file. */
const KEYS: Record<string, string> = {
  "service-role-jwt": jwt({ iss: "supabase", ref: "abcdefghijklmnop", role: "service_role" }),
  "anon-jwt": jwt({ iss: "supabase", ref: "abcdefghijklmnop", role: "anon" }),
  "demo-jwt": jwt({ iss: "supabase-demo", role: "service_role", exp: 1983812996 }),
  "secret-key": ["sb", "secret", "Zx8Kq2Lm9Vt4Rw7Yb1Nc5Hd"].join("_"),
};

/**
 * The fixtures: text files with a `# idea`, then files under `=== path`. A line with a finding ends with
 * `//~ rule` (`--~`, `#~`), which is taken off before the linter sees it.
 */
export function fixtures(): Fixture[] {
  return readdirSync(FOLDER).sort().map((file) => {
    const [head = "", ...parts] = readFileSync(join(FOLDER, file), "utf8").split(/^=== /m);
    const expected: string[] = [];
    const files = parts.map((part) => {
      const [path = "", ...lines] = part.split("\n");
      const text = lines.map((line, index) => {
        const [code = "", rules] = line.split(/ *(?:\/\/|--|#)~ /);
        for (const rule of rules?.split(" ") ?? []) expected.push(`${path}:${index + 1} ${rule}`);
        return code.replace(/\{\{([\w-]+)\}\}/g, (_, key: string) => KEYS[key] ?? key);
      }).join("\n");
      return { path, text };
    });
    return {
      name: file.replace(/\.txt$/, ""),
      idea: head.replace(/^# /, "").trim(),
      files,
      expected: expected.sort(),
    };
  });
}

/** Lint files that exist nowhere. */
export function lintFiles(
  files: readonly SourceFile[],
  options: Partial<LintOptions> = {},
): Promise<LintResult> {
  return lint(files, { parsers: { script: parseScript, sql: parseSql }, ...options });
}

/** One file. */
export function lintText(text: string, path = "src/a.ts"): Promise<LintResult> {
  return lintFiles([{ path, text }]);
}

/** The findings as fixtures name them. */
export function found({ findings }: LintResult): string[] {
  return findings.map((one) => `${one.file}:${one.line} ${one.rule.slice("lint/".length)}`).sort();
}
