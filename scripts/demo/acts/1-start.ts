import { readFile } from "node:fs/promises";
import { connect } from "../../../functions/_core/adapters/postgres.ts";
import { generateOpenHouse } from "../../../examples/openhouse/generate.ts";
import { applyMigrations, createBaseline } from "../../local/databases.ts";
import { startPostgres } from "../../local/postgres-server.ts";
import { type Act, expect, mark } from "../stage.ts";

const SCHEMA = new URL("../../../examples/openhouse/schema.sql", import.meta.url);
const DATABASE = "openhouse";

/** A real Postgres, Bulkhead's migrations, and an application as its team wrote it. */
export const start: Act = {
  name: "start",
  title: "Start Postgres, install Bulkhead, load OpenHouse as its team wrote it",
  async run(stage) {
    stage.server = await startPostgres();
    stage.onEnd(() => stage.server.stop());
    await createBaseline(stage.server, DATABASE);
    stage.url = stage.server.url(DATABASE);
    stage.env["DATABASE_URL"] = stage.url;
    stage.sql = connect(stage.url, { applicationName: "bulkhead demo" });
    stage.onEnd(() => stage.sql.end({ timeout: 5 }));

    await applyMigrations(stage.url);
    await stage.sql.unsafe(await readFile(SCHEMA, "utf8"));
    const counts = await generateOpenHouse(stage.sql, {
      rows: stage.rows,
      onProgress: stage.progress("loading messages"),
    });
    const [found] = await stage.sql`
      select (select count(*)::int from public.messages) as messages,
        (select count(*)::int from supabase_migrations.schema_migrations) as migrations,
        current_setting('server_version') as version`;
    expect(
      found?.["messages"] === counts.messages,
      `${counts.messages} messages are in the database`,
    );
    stage.say(mark.ok(`Postgres ${found["version"]}, ${found["migrations"]} migrations`));
    stage.say(mark.ok(
      `${counts.tenants} tenants, ${counts.members} members, ${counts.units} units, ${counts.messages} messages`,
    ));
    return { version: found["version"], migrations: found["migrations"], ...counts };
  },
};
