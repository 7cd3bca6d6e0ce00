import { lint } from "../../lint/lint.ts";
import { findRule } from "../../lint/rules.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const SCRIPT = /\.([cm]?[jt]sx?|svelte|vue|astro)$/;
const SPEAKS = /supabase|service_?role/i;
/** How many steps of imports lead away from the file that makes a client. */
const STEPS = 3;
const MOST_FILES = 600;

/** What the linter says of a use, and what it weighs here. */
const WEIGHT: Record<string, Pick<Evidence, "kind" | "severity">> = {
  "lint/service-write": { kind: "gap", severity: "p1" },
  "lint/service-rpc": { kind: "weakness", severity: "p2" },
  "lint/service-read": { kind: "weakness", severity: "p1" },
};

/** The service role passes every policy: a query of it that doesn't name the tenant reaches all of them. */
export const serviceRole: Rule = {
  id: "APP-13",
  name: "service-role",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "What is asked with the service role names the tenant",
  remedy: "ask with the user's own token, or through a client that stamps and filters the tenant",
  async check(repository) {
    const files = reachable(repository);
    if (files.length === 0) {
      return conclude([], { status: "not-applicable", summary: "no code speaks of Supabase" });
    }
    if (files.length > MOST_FILES) {
      return conclude([], {
        status: "unknown",
        summary: `${files.length} files may reach the service role: ask bulkhead lint`,
      });
    }
    const { findings, unread } = await lint(files, {
      parsers: repository.parsers,
      rules: [...Object.keys(WEIGHT), "lint/service-client"].filter((id) => findRule(id) !== null),
    });
    const evidence: Evidence[] = findings.flatMap(({ rule, file, line, message }) => {
      const weight = message.endsWith("held to a tenant by hand") ? null : WEIGHT[rule];
      return weight ? [{ ...weight, file, line, message }] : [];
    });
    const client = findings.find(({ rule }) => rule === "lint/service-client");
    if (client && evidence.length === 0) {
      evidence.push(
        ...unread.map(({ file, reason }): Evidence => ({
          kind: "unknown",
          file,
          line: null,
          message: `it can't be read: ${reason}`,
        })),
        {
          kind: "strength",
          file: client.file,
          line: client.line,
          message: "each query of the service client names the tenant",
        },
      );
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no client is made with the service key",
    });
  },
};

type Read = RepositoryFile & { text: string };

/** The scripts that speak of Supabase, and those that import them, a few steps away. */
function reachable(repository: Repository): Read[] {
  const all = repository.matching(SCRIPT).filter((file): file is Read =>
    file.text !== null && file.context !== "test"
  );
  const found = new Set(all.filter(({ text }) => SPEAKS.test(text)));
  if (![...found].some(({ text }) => /service/i.test(text))) return [];
  for (let step = 0; step < STEPS; step++) {
    const stems = new Set([...found].map(({ path }) => stemOf(path)));
    const more = all.filter((file) =>
      !found.has(file) && imports(file.text).some((one) => stems.has(one))
    );
    if (more.length === 0) break;
    for (const file of more) found.add(file);
  }
  return [...found];
}

/** The last part of what a script imports, as {@link stemOf} names files. */
function imports(text: string): string[] {
  return [...text.matchAll(/\b(?:from|import|require)\s*\(?\s*["']([^"'\n]{1,300})["']/g)].map((
    [, path],
  ) => stemOf(path ?? ""));
}

function stemOf(path: string): string {
  const parts = path.replace(/\.[cm]?[jt]sx?$/, "").split("/");
  const name = parts.pop() ?? "";
  return name === "index" ? parts.pop() ?? "" : name;
}
