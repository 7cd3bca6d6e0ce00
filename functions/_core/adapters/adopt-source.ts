import type { Finding } from "../adopt/findings.ts";
import { type Classification } from "../adopt/classify.ts";
import { countSql, sampleSql, wrongRows } from "../adopt/rows.ts";
import type { Sql } from "./postgres.ts";

/**
 * Count the rows that are wrong today, with up to five keys each, in one read-only snapshot. Policies that would
 * hide rows make it fail rather than count too few.
 *
 * @example
 * const findings = await countWrongRows(sql, world, (done, total) => bar(done / total));
 */
export async function countWrongRows(
  sql: Sql,
  world: Classification,
  onProgress?: (done: number, total: number) => void,
): Promise<Finding[]> {
  const probes = world.tables.filter((each) => each.problem === null).flatMap((each) =>
    wrongRows(world, each, false)
  );
  const findings: Finding[] = [];
  await sql.begin("isolation level repeatable read read only", async (tx) => {
    await tx.unsafe("set local row_security = off; set local statement_timeout = 0").simple();
    for (const [at, wrong] of probes.entries()) {
      onProgress?.(at, probes.length);
      const [row] = await tx.unsafe(countSql(wrong));
      const rows = Number(row?.["count"] ?? 0);
      if (rows === 0) continue;
      const samples = await tx.unsafe(sampleSql(wrong));
      findings.push({
        rule: wrong.rule,
        subject: wrong.table.table.id,
        severity: "critical",
        detail: wrong.title,
        rows,
        samples: samples.map((one) => String(one["key"])),
      });
    }
  });
  return findings;
}
