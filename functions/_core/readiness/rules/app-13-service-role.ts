import { lint } from "../../lint/lint.ts";
import { CONFIG } from "../../lint/resolve.ts";
import { scriptGraph } from "../models/script-graph.ts";
import { scripts } from "../models/scripts.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const SPEAKS = /supabase|service_?role/i;
const ASKS = /(?<!Array|Buffer)\.(from|rpc)\s*\(/;
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
    const { findings, unread } = await lint([...files, ...read(repository.matching(CONFIG))], {
      parsers: { ...repository.parsers, script: scripts(repository).tree },
      rules: [...Object.keys(WEIGHT), "lint/service-client"],
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

/** The scripts that speak of Supabase, those that import them, and those that they may hand a client to. */
function reachable(repository: Repository): Read[] {
  const all = new Map(read(scripts(repository).files).map((file) => [file.path, file]));
  const speaking = [...all.values()].filter(({ text }) => SPEAKS.test(text));
  if (!speaking.some(({ text }) => /service/i.test(text))) return [];
  const { importers, imports } = scriptGraph(repository);
  const found = new Set(speaking);
  const follow = (edges: typeof imports, isWanted: (text: string) => boolean) => {
    for (let step = 0; step < STEPS; step++) {
      for (const one of [...found].flatMap(({ path }) => edges.get(path) ?? [])) {
        const file = all.get(one);
        if (file && isWanted(file.text)) found.add(file);
      }
    }
  };
  follow(importers, () => true);
  follow(imports, (text) => ASKS.test(text));
  return [...found];
}

function read(files: readonly RepositoryFile[]): Read[] {
  return files.filter((file): file is Read => file.text !== null && file.context !== "test");
}
