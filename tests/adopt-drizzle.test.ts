import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import { renderFiles } from "../functions/_core/adopt/files.ts";
import { step } from "../functions/_core/adopt/steps.ts";
import { planFiles } from "./support/adopt.ts";
import { NASTY_CONFIG, nastySchema } from "./support/nasty-schema.ts";
import { kitDatabase, type Server, startPostgres, withSql } from "./support/postgres.ts";

describe("adopt --format drizzle", () => {
  let server: Server;
  const folder = mkdtempSync(join(tmpdir(), "bulkhead-drizzle-"));
  before(async () => void (server = await startPostgres()));
  after(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("writes files and a journal that Drizzle's own migrator takes, all in its one transaction", async () => {
    await using db = await kitDatabase(server);
    await withSql(db.url, async (sql) => {
      await sql.unsafe(nastySchema("bigint").ddl).simple();
      for (const file of await planFiles(sql, NASTY_CONFIG, "drizzle")) {
        mkdirSync(join(folder, dirname(file.path)), { recursive: true });
        writeFileSync(join(folder, file.path), file.content);
        assert.doesNotMatch(file.content, /concurrently|\bcommit;/);
      }
      await migrate(drizzle(sql), { migrationsFolder: folder });
      const [row] = await sql`select bulkhead.status('boundary') as status`;
      assert.equal(
        row?.["status"].verdict,
        "green",
        JSON.stringify(
          row?.["status"].checks.filter((one: { status: string }) => one.status !== "pass"),
        ),
      );
      assert.deepEqual(await planFiles(sql, NASTY_CONFIG, "drizzle"), []);
    });
  });

  test("goes on where the journal ends: idx, version, when, tag and breakpoints", () => {
    const journal = {
      version: "7",
      dialect: "postgresql",
      entries: [{
        idx: 4,
        version: "7",
        when: 1_900_000_000_000,
        tag: "0004_last",
        breakpoints: true,
      }],
    };
    const files = renderFiles([
      step({ phase: 0, slug: "Prepare it", title: "t", lock: "none", up: ["select 1"] }),
    ], {
      format: "drizzle",
      lockTimeout: "2s",
      now: new Date(0),
      drizzle: { journal },
    });
    const written = JSON.parse(
      files.find((file) => file.path === "meta/_journal.json")?.content ?? "",
    );
    assert.deepEqual(written.entries[1], {
      idx: 5,
      version: "7",
      when: 1_900_000_000_001,
      tag: "0005_prepare_it",
      breakpoints: true,
    });
    assert.ok(files.some((file) => file.path === "0005_prepare_it.sql"));
  });

  test("copies the last snapshot for each migration, as drizzle-kit generate --custom does", () => {
    const journal = {
      version: "7",
      dialect: "postgresql",
      entries: [{ idx: 0, version: "7", when: 1, tag: "0000_first", breakpoints: true }],
    };
    const snapshot = {
      id: "00000000-0000-4000-8000-000000000001",
      prevId: "00000000-0000-0000-0000-000000000000",
      version: "7",
      dialect: "postgresql",
      tables: { "public.notes": { name: "notes" } },
      _meta: { columns: { a: "b" }, schemas: {}, tables: {} },
    };
    const ids = ["one", "two"];
    const steps = ["a", "b"].map((slug) =>
      step({ phase: 0, slug, title: "t", lock: "none", up: ["select 1"] })
    );
    const files = renderFiles(steps, {
      format: "drizzle",
      lockTimeout: "2s",
      now: new Date(0),
      drizzle: { journal, snapshot },
      newId: () => ids.shift() ?? "",
    });
    const written = ["0001", "0002"].map((prefix) =>
      JSON.parse(files.find((one) => one.path === `meta/${prefix}_snapshot.json`)?.content ?? "")
    );
    assert.deepEqual(written.map(({ id, prevId }) => ({ id, prevId })), [
      { id: "one", prevId: snapshot.id },
      { id: "two", prevId: "one" },
    ]);
    for (const one of written) {
      assert.deepEqual(one.tables, snapshot.tables);
      assert.deepEqual(one._meta, { columns: {}, schemas: {}, tables: {} });
    }
    const without = renderFiles(steps, {
      format: "drizzle",
      lockTimeout: "2s",
      now: new Date(0),
      drizzle: { journal },
    });
    assert.ok(!without.some((one) => one.path.endsWith("_snapshot.json")), "nothing to copy");
  });

  test("goes on in the folder's own spelling, so that its snapshots sort last", () => {
    const prefixes = (tag: string) =>
      renderFiles(
        ["a", "b"].map((slug) => step({ phase: 0, slug, title: "t", lock: "none", up: [] })),
        {
          format: "drizzle",
          lockTimeout: "2s",
          now: new Date("2026-01-01T00:00:00Z"),
          drizzle: {
            journal: {
              version: "7",
              dialect: "postgresql",
              entries: [{ idx: 3, version: "7", when: 1, tag, breakpoints: true }],
            },
          },
        },
      ).map((one) => one.path).filter((path) => /^\d+_.\.sql$/.test(path));
    assert.deepEqual(prefixes("0003_last"), ["0004_a.sql", "0005_b.sql"]);
    assert.deepEqual(prefixes("20251231235959_last"), [
      "20260101000000_a.sql",
      "20260101000001_b.sql",
    ]);
    assert.deepEqual(prefixes("20270101000000_last"), [
      "20270101000001_a.sql",
      "20270101000002_b.sql",
    ]);
    assert.deepEqual(prefixes("1767225599_last"), ["1767225600_a.sql", "1767225601_b.sql"]);
  });
});
