import { lineAt } from "../../lines.ts";
import { gap, strength, weakness } from "../evidence.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Rule } from "../rule.ts";

const TEXTS = /\.(md|mdx|rst|adoc|txt)$/i;
const TARGETS =
  /\b(RPO|RTO)\b|recovery (point|time) objective|(data loss|downtime) (of )?(at most|no more than|up to)/;
const RUNBOOK =
  /(^|\/)[^/]*(runbook|incident|playbook|disaster|on-?call|dr-plan|recovery)[^/]*(\/[^/]+)?\.(md|mdx|rst|adoc|txt)$/i;
const HEADING = /^#{1,4} .*\b(runbook|incident|on-?call|outage|disaster recovery|emergency)\b/im;

/** In an outage nobody decides well how much may be lost: it is written down before. */
export const recoveryTargets: Rule = {
  id: "DR-06",
  name: "recovery-targets",
  area: "dr",
  severity: "p2",
  confidence: "medium",
  section: 5,
  title: "Pages say how much may be lost, how long it may take, and what to do",
  remedy:
    "write down the recovery point and time objectives, and a runbook of an incident's first hour",
  check(repository) {
    const targets = find(repository, (_, text) => text.search(TARGETS));
    const runbook = find(repository, (path, text) => RUNBOOK.test(path) ? 0 : text.search(HEADING));
    const none = "docs/runbook.md";
    return conclude([
      targets
        ? strength(targets.file, targets.line, "how much may be lost is written down")
        : runbook
        ? weakness(
          runbook.file,
          runbook.line,
          "what to do is written down, but not how much may be lost",
        )
        : gap(
          none,
          null,
          "no page says how much may be lost, or how long recovery may take (RPO, RTO)",
        ),
      runbook
        ? strength(runbook.file, runbook.line, "what to do is written down")
        : gap(none, null, "there is no runbook for an incident"),
    ], { status: "unknown", summary: "nothing was looked at" });
  },
};

function find(
  repository: Repository,
  where: (path: string, text: string) => number,
): { file: string; line: number } | null {
  for (const { path, text } of repository.matching(TEXTS)) {
    if (!text || text.trim() === "" || /(^|\/)(changelog|license|node_modules)/i.test(path)) {
      continue;
    }
    const at = where(path, text);
    if (at >= 0) return { file: path, line: lineAt(text, at) };
  }
  return null;
}
