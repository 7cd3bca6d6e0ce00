import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type postgres from "postgres";
import { diffSnapshots } from "../functions/_core/adapters/boundary-diff.ts";
import type { Diff } from "../functions/_core/diff/classify.ts";
import type { Snapshot } from "../functions/_core/diff/snapshot.ts";
import { benignChanges } from "./mutations/benign.ts";
import type { Mutation } from "./mutations/mutation.ts";
import { mutations } from "./mutations/suite.ts";
import { depth } from "./support/depth.ts";
import { boundaryAfter, mutationWorld, oneConnection } from "./support/diff.ts";
import {
  type Database,
  kitDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { migrationFiles, runSql } from "./support/sql-files.ts";

/** Critical for status, which says that something does not work; nobody sees a row more for it. */
const LESS = [
  "members may not ask for their tenants",
  "next month has no partition",
  // Closing and giving back in one change: it is less than there was, and the setting is told.
  "is given back a table after it was closed",
  "is given back one column after it was closed",
  // configure() does the same on purpose; only the declaration tells them apart.
  "a role becomes a direct one",
];
/** Of the server here: a mutation may be one on older servers only. */
const MAJOR = 17;
/** Rows, large objects and what a sequence gives next are no catalog: docs/diff.md says so. */
const UNSEEN = [
  "nobody answers for its reads any more",
  "the glass is broken",
  "the glass was broken without a word",
  "a bucket is public",
  "a large object is everybody's",
  "its numbers begin anew",
  "its numbers begin anew before anything is sealed",
  "the shares' numbers begin anew",
  "masked values are made with another key",
  "the key of masked values is gone",
  "the key of masked values is known, and so says the declaration of the kit",
  "a silent job may be silent for longer",
];
/** Benign changes that somebody is asked to look at; more would make a gate that nobody reads. */
const ASKED = 15;

/** How grave each rule is, from the kit's own list. */
const SEVERITY = new Map(
  migrationFiles().flatMap(({ text }) =>
    [...text.matchAll(/^ {4}\('(\w+)',\s+'(?:boundary|trail|guard|schedule)',\s+'(\w+)'/gm)]
      .map(([, name = "", severity = ""]): [string, string] => [name, severity])
  ),
);

/** One mutation for each rule and class; all of them at full depth. */
function sample(all: readonly Mutation[]): readonly Mutation[] {
  const seen = new Set<string>();
  const few = all.filter((one) => {
    const key = `${one.class} ${one.finds}`;
    return !seen.has(key) && seen.add(key);
  });
  return all.length <= depth({ quick: few.length, full: all.length }) ? all : few;
}

describe("diff judges", () => {
  let server: Server;
  let db: Database;
  let sql: postgres.Sql;
  let green: Snapshot;
  before(async () => {
    server = await startPostgres();
    db = await kitDatabase(server);
    await withSql(db.superUrl, (admin) => admin.unsafe("create role app_direct login"));
    await withSql(db.url, (owner) => runSql(owner, mutationWorld(), "world.pgsql"));
    sql = oneConnection(db.superUrl);
    green = await boundaryAfter(sql, "select 1");
  });
  after(async () => {
    await sql?.end();
    await server?.stop();
  });
  const diff = async (change: string, superuser?: boolean): Promise<Diff> =>
    await diffSnapshots(green, await boundaryAfter(sql, change, superuser));
  const told = (found: Diff) =>
    found.entries.map((one) => `${one.level} ${one.object} ${one.facet}: ${one.why}`).join("; ");

  it("nothing where nothing changed", async () => {
    assert.deepEqual((await diff("select 1")).entries, []);
  });

  for (
    const mutation of sample(
      mutations.filter(({ name, to = MAJOR }) => to >= MAJOR && !UNSEEN.includes(name)),
    )
  ) {
    const severity = SEVERITY.get(mutation.finds);
    const grave = severity === "critical" && !LESS.includes(mutation.name);
    it(`${mutation.class}: ${mutation.name}: ${grave ? "dangerous" : "to review"}`, async () => {
      assert.ok(severity, `${mutation.finds} is a rule of status`);
      const found = await diff(mutation.sql, mutation.superuser);
      assert.ok(
        found.counts.dangerous > 0 || (!grave && found.counts.review > 0),
        told(found) || "nothing was seen",
      );
    });
  }

  let asked = 0;
  for (const { name, sql: change, superuser } of benignChanges) {
    it(`benign: ${name}`, async () => {
      const found = await diff(change, superuser);
      assert.equal(found.counts.dangerous, 0, told(found));
      if (found.counts.review > 0) asked++;
    });
  }
  it("asks somebody to look at few benign changes", () => {
    assert.ok(asked <= ASKED, `${asked} of ${benignChanges.length}`);
  });
});
