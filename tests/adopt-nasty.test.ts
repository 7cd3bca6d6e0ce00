import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { countWrongRows } from "../functions/_core/adapters/adopt-source.ts";
import {
  allRows,
  applyFiles,
  downs,
  fingerprint,
  planFiles,
  ups,
  worldOf,
} from "./support/adopt.ts";
import { NASTY_CONFIG, nastySchema } from "./support/nasty-schema.ts";
import { kitDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";

const SCHEMA = "My App";
const TABLES = [
  "Orgs",
  "countries",
  "customers",
  "Order",
  "lines",
  "remarks",
  "categories",
  "teams",
  "people",
  "events",
].map((name) => `"My App"."${name}"`);

describe("adopt on a schema with every awkward shape", () => {
  let server: Server;
  before(async () => void (server = await startPostgres()));
  after(async () => await server?.stop());

  for (const type of ["uuid", "text", "bigint"] as const) {
    for (
      const role of type === "uuid" ? ["postgres", "superuser"] as const : ["postgres"] as const
    ) {
      test(`goes from red to green and back, with ${type} tenants, as ${role}`, async () => {
        await using db = await kitDatabase(server);
        await withSql(role === "postgres" ? db.url : db.superUrl, async (sql) => {
          const config = role === "postgres"
            ? NASTY_CONFIG
            : { ...NASTY_CONFIG, roles: { platform: ["postgres"] } };
          await withSql(db.url, (owner) => owner.unsafe(nastySchema(type).ddl).simple());
          // Who may switch triggers off for a transaction does; others are told that they run.
          if (role === "superuser") {
            await sql.unsafe(
              `create trigger touch before insert or update or delete on "My App".categories for each row execute function "My App".touch()`,
            );
          }
          const world = await worldOf(sql, config);
          const kinds = Object.fromEntries(
            world.tables.map((each) => [each.table.name, each.kind]),
          );
          assert.deepEqual(kinds, {
            Orgs: "tenants",
            countries: "global",
            customers: "tenant",
            Order: "through",
            lines: "through",
            remarks: "through",
            categories: "tenant",
            teams: "tenant",
            people: "through",
            events: "through",
          });
          assert.equal(
            world.byId.get('"My App".lines')?.path,
            '"order" -> "My App"."Order" -> "customer 50%" -> "My App".customers',
          );
          const findings = await countWrongRows(sql, world);
          assert.deepEqual(
            findings.filter((one) => one.rule === "tenant_missing").map((
              one,
            ) => [one.subject, one.rows]).sort(),
            [
              ['"My App"."Order"', 1],
              ['"My App".categories', 1],
              ['"My App".customers', 1],
              ['"My App".events', 1],
              ['"My App".lines', 1],
              ['"My App".people', 1],
              ['"My App".remarks', 2],
              ['"My App".teams', 1],
            ].sort(),
          );

          const start = {
            catalog: await fingerprint(sql, [SCHEMA]),
            rows: await allRows(sql, TABLES),
          };
          const files = await planFiles(sql, config);
          for (const file of ups(files)) await applyFiles(sql, [file, file]);

          const [status] = await withSql(
            db.url,
            (owner) => owner`select bulkhead.status('boundary') as status`,
          );
          assert.equal(
            status?.["status"].verdict,
            "green",
            JSON.stringify(
              status?.["status"].checks.filter((one: { status: string }) => one.status !== "pass"),
              null,
              1,
            ),
          );
          assert.deepEqual((await planFiles(sql, config)).map((file) => file.path), []);
          for (const each of world.tables.filter((one) => one.kind !== "global")) {
            const steps =
              await sql`select statement from bulkhead.plan(${each.table.id}::regclass, ${each.column})`;
            assert.equal(steps.length, 1, JSON.stringify(steps));
          }

          const sealed = {
            catalog: await fingerprint(sql, [SCHEMA]),
            rows: await allRows(sql, TABLES),
          };
          const aside =
            await sql`select relation, count(*)::integer as rows from bulkhead.adopt_quarantine group by relation order by relation`;
          assert.deepEqual(
            aside.map((one) => [one["relation"], one["rows"]]),
            [
              ['"My App"."Order"', 1],
              ['"My App".categories', 3],
              ['"My App".customers', 1],
              ['"My App".events', 1],
              ['"My App".lines', 1],
              ['"My App".people', 2],
              ['"My App".remarks', 2],
              ['"My App".teams', 1],
            ].sort(),
          );
          assert.equal(
            sealed.rows.size + aside.reduce((sum, one) => sum + Number(one["rows"]), 0),
            start.rows.size,
          );

          await applyFiles(sql, downs(files));
          assert.deepEqual(await fingerprint(sql, [SCHEMA]), start.catalog);
          assert.deepEqual(await allRows(sql, TABLES), start.rows);
          await applyFiles(sql, ups(await planFiles(sql, config)));
          assert.deepEqual(await fingerprint(sql, [SCHEMA]), sealed.catalog);
          assert.deepEqual(await allRows(sql, TABLES), sealed.rows);
        });
      });
    }
  }
});
