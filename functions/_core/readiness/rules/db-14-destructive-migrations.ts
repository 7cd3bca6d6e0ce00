import { sqlOf } from "../models/sql.ts";
import type { SqlRisk } from "../models/sql-state.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const LINTER =
  /\bsquawk\b|\batlas\s+migrate\s+lint\b|\bariga\/atlas-action\/migrate\/lint|\bstrong_migrations\b|\bbulkhead\s+(diff|lint)\b|\bpgroll\b|\bmigration-lint|\beugene\s+lint\b/i;
/** A comment that says somebody thought of it. */
const THOUGHT =
  /\b(safe|backup|backed up|unused|no longer|moved|copied|migrated|empty|expand|contract|deprecated|intended|reviewed|squawk-ignore|irreversible)\b/i;

/** What a migration drops is gone for good, and an index that is not built concurrently stops every write meanwhile. */
export const destructiveMigrations: Rule = {
  id: "DB-14",
  name: "destructive-migrations",
  area: "db",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Migrations that lose data or lock tables are guarded",
  remedy:
    "expand first, contract in a later release; say in a comment why nothing is lost; create index concurrently; let a linter of migrations run in CI",
  async check(repository) {
    const sql = await sqlOf(repository);
    const evidence: Evidence[] = [];
    const linter = repository.matching(
      /^\.github\/workflows\/[^/]+\.ya?ml$|^\.gitlab-ci\.yml$|(^|\/)\.pre-commit-config\.yaml$/,
    )
      .find(({ text }) =>
        text?.split("\n").some((line) => !/^\s*#/.test(line) && LINTER.test(line))
      );
    // What a linter lets through was looked at, when it was written.
    for (const risk of linter ? [] : sql.state.risks) {
      const { file, line, kind, of } = risk;
      const isLoss = kind === "drop" || kind === "truncate" || kind === "delete";
      if (isGuarded(repository, risk)) {
        evidence.push({
          kind: "strength",
          file,
          line,
          message: `${WORDS[kind]} ${of}, and a comment says why`,
        });
      } else {
        evidence.push({
          kind: isLoss ? "gap" : "weakness",
          file,
          line,
          severity: isLoss ? "p1" : "p2",
          message: `${WORDS[kind]} ${of}, without a guard`,
        });
      }
    }
    const [first] = sql.files;
    if (linter) {
      evidence.push({
        kind: "strength",
        file: linter.path,
        line: null,
        message: "migrations are linted in CI",
      });
    } else if (evidence.length === 0 && first !== undefined) {
      const message =
        `${sql.files.length} files of migrations, and none loses data or builds an index in the way`;
      evidence.push({ kind: "strength", file: first, line: null, message });
    }
    return conclude(evidence, { status: "unknown", summary: "no migrations to read" });
  },
};

const WORDS: Record<SqlRisk["kind"], string> = {
  drop: "drops",
  truncate: "empties",
  delete: "deletes",
  type: "rewrites the type of",
  index: "builds an index that locks",
};

/** Whether the three lines above, or its own, say why it may be. */
function isGuarded(repository: Repository, { file, line }: SqlRisk): boolean {
  const text = repository.file(file)?.text?.split("\n") ?? [];
  return text.slice(Math.max(0, line - 4), line).some((one) => {
    const comment = /(?:--|#|\/\*|"""|\/\/)(.*)$/.exec(one)?.[1];
    return comment !== undefined && THOUGHT.test(comment);
  });
}
