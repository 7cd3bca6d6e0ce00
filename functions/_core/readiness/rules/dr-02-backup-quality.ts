import { lineAt } from "../../lines.ts";
import { gap, strength, unknown, weakness } from "../evidence.ts";
import type { Attribute } from "../models/backup-commands.ts";
import { dutiesOf } from "../models/backups.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule, type Severity } from "../rule.ts";

const ASKED: [Attribute, string, string, Severity][] = [
  ["off-site", "leaves the machine", "stays where the database is", "p1"],
  ["encrypted", "is encrypted", "is not encrypted before it is stored", "p1"],
  ["retention", "is kept for a set time", "is never removed by any rule", "p2"],
  ["verified", "is checked after it is written", "is never checked", "p2"],
];

/** A copy beside the original, readable by whoever finds it, never read back, is a hope. */
export const backupQuality: Rule = {
  id: "DR-02",
  name: "backup-quality",
  area: "dr",
  severity: "p1",
  confidence: "medium",
  section: 5,
  title: "Backups leave the machine encrypted, are kept for a set time and checked",
  remedy:
    "send them to another account's bucket, encrypt before, set a retention, read each one back",
  check(repository) {
    const made = dutiesOf(repository).filter(({ part }) => part === "backup");
    const [first] = made.toSorted((a, b) =>
      Number(a.schedule === null) - Number(b.schedule === null)
    );
    if (!first) {
      return conclude([], { status: "not-applicable", summary: "no backup to ask about (DR-01)" });
    }
    const evidence = ASKED.map(([attribute, has, lacks, severity]): Evidence => {
      const holder = made.find(({ attributes }) => attributes.has(attribute));
      if (holder) return strength(holder.file, holder.line, `the backup ${has}`);
      const page = attribute === "retention" ? retentionIn(repository) : null;
      if (page) return page;
      return first.isManaged
        ? unknown(first.file, first.line, `whether the provider's backup ${has} can't be seen`)
        : gap(first.file, first.line, `the backup ${lacks}`, { severity });
    });
    return conclude(evidence, { status: "unknown", summary: "nothing was looked at" });
  },
};

/** What a bucket removes by itself: seen in Terraform, or only written about. */
function retentionIn(repository: Repository): Evidence | null {
  for (const { path, text } of repository.matching(/\.(tf|md|mdx|rst|sh|ya?ml)$/)) {
    const isCode = /\.tf$/.test(path);
    const at = (text ?? "").search(
      isCode
        ? /_lifecycle_configuration"|lifecycle_rules?\s*\{/
        : /\b(kept|keeps|retention|retained|object lock|lifecycle)\b[^\n]{0,80}\b\d+ (days|weeks|months|years)|\b\d+ (days|weeks|months|years)\b[^\n]{0,60}\b(retention|object lock)/i,
    );
    if (at < 0 || !text || !/backup|dump/i.test(text)) continue;
    const line = lineAt(text, at);
    return isCode ? strength(path, line, "the bucket removes what is old") : weakness(
      path,
      line,
      "how long backups are kept is written down, what keeps to it isn't here",
      {
        severity: "p2",
      },
    );
  }
  return null;
}
