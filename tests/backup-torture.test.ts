// needs: postgres-15, radosgw
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { backupWorld, bulkhead } from "./support/backup-world.ts";
import { depth } from "./support/depth.ts";
import { type Database, kitDatabase, startPostgres, withSql } from "./support/postgres.ts";
import { hasRadosgw, startRadosgw } from "./support/radosgw.ts";
import { type Torture, tortureSchema } from "./support/torture-schema.ts";

const MISSING = "radosgw is missing: " +
  "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common";

const SETTINGS: Record<"source" | "target", Record<string, string>> = {
  source: {
    datestyle: "SQL, DMY",
    intervalstyle: "sql_standard",
    timezone: "Asia/Kolkata",
    extra_float_digits: "-15",
    bytea_output: "escape",
    search_path: "torture, extensions",
  },
  target: { datestyle: "German", intervalstyle: "postgres_verbose", array_nulls: "off" },
};

for (const major of [15, 17] as const) {
  describe(`the torture schema on Postgres ${major}`, async () => {
    const server = await startPostgres({ major });
    after(() => server.stop());
    const [offered] = await withSql(
      server.superUrl,
      (sql) => sql`select array_agg(name::text) as names from pg_available_extensions`,
    );
    const torture = tortureSchema({
      extensions: Array.from(offered?.["names"] as string[]),
      rows: depth({ quick: 3, full: 12 }),
      megabytes: depth({ quick: 2, full: 100 }),
    });

    // The older one into a folder, the newer one into S3: each store and each server is met.
    const needsS3 = major === 17;
    const skip = needsS3 && !hasRadosgw() ? MISSING : false;
    test(`comes back equal from ${needsS3 ? "S3" : "a folder"}`, { skip }, async () => {
      await using source = await databaseWith(torture, server, { rows: true });
      await using s3 = needsS3 ? await startRadosgw() : undefined;
      using folder = await backupWorld({ DATABASE_URL: source.url });
      const env = { ...folder.env, ...(s3 ? await bucketOf(s3) : {}) };
      if (s3) assert.equal((await bulkhead(["keys", "init"], env)).code, 0);
      const ran = await bulkhead(["backup", "--json"], env);
      assert.equal(ran.code, 0, ran.stderr);
      const before = await contents(source.url);
      assert.ok(Object.keys(before).length > 25, "it looks at every table and sequence");
      await using target = await databaseWith(torture, server, { rows: false });
      // A superuser loads in replica mode; anybody else parents first, the keys of a circle dropped and added again.
      const restored = await bulkhead(["restore", "--into-env", "TARGET_URL", "--json"], {
        ...env,
        TARGET_URL: needsS3 ? target.superUrl : target.url,
      });
      assert.equal(restored.code, 0, restored.stderr);
      assert.deepEqual(await contents(target.url), before);
      assert.deepEqual(await hashes(target.url), await hashes(source.url));
    });
  });
}

async function databaseWith(
  torture: Torture,
  server: Parameters<typeof kitDatabase>[0],
  { rows }: { rows: boolean },
): Promise<Database> {
  const db = await kitDatabase(server);
  await withSql(db.superUrl, (sql) => sql.unsafe(torture.extensions));
  // What a database is set to must not reach the backup, nor what is read back.
  await withSql(db.url, (sql) =>
    sql.unsafe(
      Object.entries(SETTINGS[rows ? "source" : "target"]).map(([name, value]) =>
        `alter database ${db.name} set ${name} = '${value}'`
      ).join("; "),
    ));
  await withSql(db.url, async (sql) => {
    await sql.unsafe(torture.ddl);
    if (!rows) return;
    for (const statement of torture.rows) {
      await sql.unsafe(statement).catch((error) => {
        throw new Error(`${error.message}: ${statement.slice(0, 300)}`);
      });
    }
    await sql`select bulkhead.seal()`;
    await sql.unsafe(`alter database ${db.name} set quote_all_identifiers = on`);
  });
  return db;
}

async function bucketOf(s3: Awaited<ReturnType<typeof startRadosgw>>) {
  return {
    BULKHEAD_STORE: `s3://${await s3.createBucket({ versioned: true })}/nightly`,
    BULKHEAD_S3_ENDPOINT: s3.endpoint,
    BULKHEAD_S3_REGION: s3.region,
    BULKHEAD_S3_KEY_ID: s3.user.accessKeyId,
    BULKHEAD_S3_SECRET: s3.user.secretAccessKey,
    BULKHEAD_S3_READER_KEY_ID: s3.user.accessKeyId,
    BULKHEAD_S3_READER_SECRET: s3.user.secretAccessKey,
  };
}

/** Rows of each table that has any of its own, and each sequence, without a line of the kit's SQL. */
async function contents(url: string): Promise<Record<string, string>> {
  return await withSql(url, async (sql) => {
    await sql.unsafe(
      "set extra_float_digits = 3; set intervalstyle = 'postgres_verbose'; set datestyle = 'ISO'; set timezone = 'UTC';" +
        "set bytea_output = 'hex'; set quote_all_identifiers = off; set search_path = ''",
    );
    const relations = await sql<{ name: string; kind: string }[]>`
      select format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where n.nspname in ('torture', 'sequences_elsewhere') and c.relkind in ('r', 'S') order by 1
    `;
    const found: Record<string, string> = {};
    for (const { name, kind } of relations) {
      const [row] = await sql.unsafe(
        kind === "S"
          ? `select last_value || ' ' || is_called as content from ${name}`
          : `select count(*) || ' ' || coalesce(md5(string_agg(md5(row(t.*)::text), ',' order by md5(row(t.*)::text))), '') as content from only ${name} as t`,
      );
      found[name] = String(row?.["content"]);
    }
    return found;
  });
}

/** The kit's own content hash of everything it exports, ledger included. */
async function hashes(url: string): Promise<unknown[]> {
  return await withSql(url, async (sql) => [
    ...await sql`
      select t.schema_name::text, t.table_name::text, o.tenant, h.rows, h.hash
      from bulkhead.tables_to_export() as t
      cross join (select bulkhead.tenants_to_export() union all select null) as o (tenant)
      cross join lateral bulkhead.content_hash(t.relation, o.tenant) as h
      -- A restore adds an event of its own, of no tenant, and the seals that follow it.
      where t.scope = 'tenant' or (t.scope = 'both' and o.tenant is not null) or (t.scope = 'global' and t.schema_name <> 'bulkhead')
      order by 1, 2, 3
    `,
  ]);
}
