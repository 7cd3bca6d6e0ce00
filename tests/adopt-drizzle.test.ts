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
      journal,
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
});
