import { databaseSigns } from "../models/database.ts";
import type { RepositoryFile } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** What ends a statement, by the words that databases and drivers have for it. */
const LIMIT =
  /\b(statement_timeout|idle_in_transaction_session_timeout|transaction_timeout|max_execution_time|command_timeout|query_timeout|statementTimeout|queryTimeout|idleInTransactionSessionTimeout)\b/;
const FILES =
  /\.(py|[cm]?[jt]s|sql|ya?ml|toml|conf|prisma|tf)$|(^|\/)\.env[\w.-]*$|(^|\/)[\w.-]*Dockerfile[\w.-]*$/;

/** One statement without an end holds its locks, its connection, and in time all connections. */
export const statementTimeout: Rule = {
  id: "DB-08",
  name: "statement-timeout",
  area: "db",
  severity: "p2",
  confidence: "medium",
  section: 2,
  title: "Statements and idle transactions end by themselves",
  remedy:
    "set statement_timeout and idle_in_transaction_session_timeout for the application's role",
  check(repository) {
    const evidence: Evidence[] = [];
    for (const file of repository.matching(FILES)) {
      if (file.context === "test" || file.context === "docs" || evidence.length >= 10) continue;
      const found = lineIn(file);
      if (found) {
        evidence.push({
          kind: "strength",
          file: file.path,
          line: found.line,
          message: `${found.word} is set`,
        });
      }
    }
    const signs = databaseSigns(repository);
    if (evidence.length === 0) {
      const managed = signs.find(({ runBy }) => runBy === "provider");
      const own = signs.find(({ runBy }) => runBy !== "provider");
      const sign = own ?? managed;
      if (sign) {
        evidence.push({
          kind: managed ? "unknown" : "weakness",
          file: sign.file,
          line: sign.line,
          message: managed
            ? `${managed.what}: which limits it sets can't be seen here`
            : "nothing ends a statement or an idle transaction",
        });
      }
    }
    return conclude(evidence, { status: "not-applicable", summary: "no database is used here" });
  },
};

/** The first line that sets a limit and is no comment; `0` takes the limit away. */
function lineIn({ text, path }: RepositoryFile): { line: number; word: string } | null {
  if (text === null || !LIMIT.test(text)) return null;
  for (const [index, line] of text.split("\n").entries()) {
    const word = LIMIT.exec(line.slice(0, 2_000))?.[1];
    if (!word || /^\s*(#|\/\/|--|\*)/.test(line)) continue;
    const rest = line.slice(
      line.indexOf(word) + word.length,
      line.indexOf(word) + word.length + 40,
    );
    if (/^["']?\s*(=|:|to|,)?\s*["']?0["']?\s*([;,)}"']|$)/i.test(rest)) continue;
    // A dump that pg_dump wrote sets it for itself.
    if (
      /^SET statement_timeout = 0/.test(line) ||
      (/\.sql$/.test(path) && /^\s*set\s+local\b/i.test(line))
    ) continue;
    return { line: index + 1, word };
  }
  return null;
}
