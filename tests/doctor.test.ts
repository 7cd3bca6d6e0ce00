// needs: deno-edge
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type FunctionsHost, startFunctions } from "./support/functions-host.ts";
import {
  baselineDatabase,
  type Database,
  openhouseDatabase,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import { bulkhead, createProject, projectsFolder, removeFolder } from "./support/project.ts";

type Finding = { name: string; status: string; detail: string; command: string | null };

const home = projectsFolder();
chmodSync(home, 0o755);
const secret = randomBytes(32).toString("hex");
const kek = randomBytes(32).toString("base64");
let server: Server;
let db: Database;
let functions: FunctionsHost;

before(async () => {
  server = await startPostgres();
  db = await openhouseDatabase(server, { rows: 60 });
  functions = await startFunctions({
    env: {
      SUPABASE_DB_URL: db.url,
      BULKHEAD_HMAC_SECRET: secret,
      BULKHEAD_KEK: kek,
      BULKHEAD_STORE: `file://${home}/store`,
      SLACK_WEBHOOK_URL: "http://127.0.0.1:9/services/T/B/secret-token",
    },
    write: [home],
  });
});
after(async () => {
  await functions?.stop();
  await server?.stop();
  removeFolder(home);
});

const doctor = async (env: Record<string, string> = {}, ...args: string[]) => {
  const ran = await bulkhead(["doctor", "--dir", home, "--json", ...args], { env });
  assert.equal(ran.stderr, "");
  const { findings } = JSON.parse(ran.stdout) as { findings: Finding[] };
  const of = (name: string) => findings.find((finding) => finding.name === name);
  return { ...ran, findings, of, status: (name: string) => of(name)?.status };
};
const url = () => ({ DATABASE_URL: db.url });
const sql = (text: string, as = db.url) => withSql(as, (connection) => connection.unsafe(text));

describe("bulkhead doctor", () => {
  it("without a database says how to name one, and exits 1", async () => {
    const { code, of } = await doctor();
    assert.equal(code, 1);
    assert.match(of("database")?.command ?? "", /^export DATABASE_URL=/);
    const away = await doctor({ DATABASE_URL: "postgresql://me:hunter2secret@127.0.0.1:9/app" });
    assert.equal(away.code, 1);
    assert.match(away.of("database")?.detail ?? "", /Cannot reach/);
    assert.doesNotMatch(away.stdout, /hunter2/);
  });

  it("in an empty database names each extension and the kit, with the command for each", async () => {
    const empty = await baselineDatabase(server);
    const before = await doctor({ DATABASE_URL: empty.url });
    assert.equal(before.status("extension_pg_cron"), "pass");
    assert.match(
      before.of("kit_installed")?.command ?? "",
      /bulkhead init && npx supabase db push$/,
    );
    await sql(
      "drop schema if exists cron cascade; drop schema if exists net cascade; drop schema vault cascade",
      empty.superUrl,
    );
    const { code, findings } = await doctor({ DATABASE_URL: empty.url });
    assert.equal(code, 1);
    const commands = findings.filter(({ status }) => status === "fail").map(({ command }) =>
      command
    );
    for (const name of ["pg_cron", "pg_net", "supabase_vault"]) {
      assert.ok(commands.includes(`create extension if not exists ${name};`), name);
    }
    await empty.drop();
  });

  it("names the secrets of Vault and the API's schemas until they are there", async () => {
    const missing = await doctor(url());
    for (const name of ["bulkhead_functions_url", "bulkhead_hmac_secret"]) {
      assert.equal(missing.status(`vault_${name}`), "fail");
      assert.match(missing.of(`vault_${name}`)?.command ?? "", /^select vault\.create_secret\(/);
    }
    assert.equal(missing.status("api_schema"), "unknown");
    assert.equal(missing.status("function_backup"), "unknown");
    await sql(`select vault.create_secret('${functions.functionsUrl}', 'bulkhead_functions_url')`);
    await sql(`select vault.create_secret('${secret}', 'bulkhead_hmac_secret')`);
    await sql("alter role authenticator set pgrst.db_schemas = 'public'", db.superUrl);
    assert.equal((await doctor(url())).status("api_schema"), "fail");
    await sql(
      "alter role authenticator set pgrst.db_schemas = 'public, bulkhead_api'",
      db.superUrl,
    );
    assert.equal((await doctor(url())).status("api_schema"), "pass");
  });

  it("says what is not scheduled, and the command puts it right", async () => {
    await sql("select bulkhead.unschedule()");
    const found = (await doctor(url(), "--no-ping")).of("schedule");
    assert.equal(found?.status, "fail");
    await sql(found?.command ?? assert.fail());
    assert.equal((await doctor(url(), "--no-ping")).status("schedule"), "pass");
  });

  it("exits 0 when nothing is missing, having called every function and started none", async () => {
    const { code, findings } = await doctor(url());
    assert.deepEqual(
      findings.filter(({ status }) => status === "fail" || status === "unknown"),
      [],
    );
    for (const name of ["backup", "alert", "status"]) {
      assert.ok(
        findings.some((finding) =>
          finding.name === `function_${name}` && finding.status === "pass"
        ),
      );
    }
    assert.equal(code, 0);
    const [calls] = await sql(
      "select (select count(*)::int from bulkhead.accepted_calls) + (select count(*)::int from bulkhead.backup_runs) as n",
    );
    assert.equal(calls?.["n"], 0);
  });

  it("tells a wrong secret from a missing function from silence", async () => {
    const set = (name: string, value: string) =>
      sql(
        `select vault.update_secret((select id from vault.secrets where name = '${name}'), '${value}')`,
      );
    await set("bulkhead_hmac_secret", randomBytes(32).toString("hex"));
    const wrong = await doctor({ ...url(), BULKHEAD_HMAC_SECRET: secret });
    for (const name of ["backup", "alert", "status"]) {
      assert.match(wrong.of(`function_${name}`)?.detail ?? "", /not the one in Vault/, name);
    }
    assert.match(wrong.of("env_BULKHEAD_HMAC_SECRET")?.detail ?? "", /not the secret in Vault/);
    assert.doesNotMatch(wrong.stdout, new RegExp(secret));
    await set("bulkhead_hmac_secret", secret);
    await set("bulkhead_functions_url", `${functions.url}/nowhere`);
    assert.match(
      (await doctor(url())).of("function_alert")?.command ?? "",
      /supabase functions deploy alert/,
    );
    await set("bulkhead_functions_url", "http://127.0.0.1:9/functions/v1");
    assert.match((await doctor(url())).of("function_alert")?.detail ?? "", /does not answer/);
    await set("bulkhead_functions_url", functions.functionsUrl);
  });

  it("compares every function of the kit with the database's", async () => {
    const [original] = await sql(
      "select pg_get_functiondef('bulkhead.secret(text)'::regprocedure) as text",
    );
    await sql(
      `create or replace function bulkhead.secret(name text) returns text language sql stable set search_path = '' as $$ select 'x' $$`,
    );
    const found = (await doctor(url(), "--no-ping")).of("kit_version");
    assert.match(
      found?.detail ?? "",
      /^1 of \d+ functions are not those of [\d.]+: bulkhead\.secret$/,
    );
    await sql(original?.["text"] as string);
    assert.equal((await doctor(url(), "--no-ping")).status("kit_version"), "pass");
  });

  it("finds variables that are malformed, and only mentions those that are missing", async () => {
    const { code, of } = await doctor({
      ...url(),
      BULKHEAD_KEK: "short",
      BULKHEAD_STORE: "file:///tmp/store",
    });
    assert.equal(code, 1);
    assert.equal(of("env_BULKHEAD_KEK")?.status, "fail");
    assert.equal(of("env_BULKHEAD_STORE")?.status, "pass");
    assert.equal(of("env_SLACK_WEBHOOK_URL")?.status, "info");
    assert.equal(of("env_BULKHEAD_S3_REGION"), undefined);
  });

  it("names a severity that would reach nobody, a webhook without its secret, and what is optional", async () => {
    const none = await doctor(url(), "--no-ping");
    for (const name of ["BULKHEAD_WEBHOOK_URL", "BULKHEAD_PING_URL", "BULKHEAD_EVIDENCE_KEY"]) {
      assert.equal(none.status(`env_${name}`), "info");
      assert.match(none.of(`env_${name}`)?.command ?? "", new RegExp(`${name}=`));
    }
    assert.equal(none.code, 0);
    const some = await doctor({
      ...url(),
      BULKHEAD_SLACK_WEBHOOK_CRITICAL: "https://hooks.slack.com/services/T/B/hushhush",
      BULKHEAD_WEBHOOK_WARNING: "https://receiver.example.com/hook",
      BULKHEAD_EVIDENCE_KEY: "-----BEGIN PRIVATE KEY-----\nhushhush\n-----END PRIVATE KEY-----",
      BULKHEAD_PING_URL: "ftp://hushhush",
    }, "--no-ping");
    assert.equal(some.code, 1);
    const failed = some.findings.filter(({ status }) => status === "fail");
    assert.deepEqual(failed.map(({ name }) => name), [
      "env_BULKHEAD_WEBHOOK_SECRET",
      "env_BULKHEAD_SLACK_WEBHOOK_INFO",
      "env_BULKHEAD_PING_URL",
      "env_BULKHEAD_EVIDENCE_KEY",
    ]);
    assert.match(
      failed[0]?.command ?? "",
      /^export BULKHEAD_WEBHOOK_SECRET="\$\(openssl rand -hex 32\)"$/,
    );
    assert.equal(some.of("env_BULKHEAD_SLACK_WEBHOOK_CRITICAL")?.status, "pass");
    assert.doesNotMatch(some.stdout, /hushhush/);
    const whole = await doctor({
      ...url(),
      BULKHEAD_WEBHOOK_URL: "https://receiver.example.com/hook",
      BULKHEAD_WEBHOOK_SECRET: secret,
    }, "--no-ping");
    assert.deepEqual(whole.findings.filter(({ status }) => status === "fail"), []);
    const wrong = await doctor({ ...url(), BULKHEAD_WEBHOOK_INFO: "nowhere" }, "--no-ping");
    assert.match(wrong.of("env_BULKHEAD_WEBHOOK_INFO")?.detail ?? "", /must be a webhook's URL/);
  });

  it("looks at the project, too: not installed, installed, settings gone", async () => {
    const dir = createProject(home);
    const look = async () =>
      (await bulkhead(["doctor", "--dir", dir, "--no-ping"], { env: url() })).stdout;
    assert.match(
      await look(),
      /✗ project: supabase\/bulkhead\.lock\.json is missing: not installed\n {4}run: npx bulkhead init\n/,
    );
    await bulkhead(["init", "--dir", dir]);
    const installed = await look();
    assert.match(installed, /✓ project: version \d/);
    assert.match(
      installed,
      /✗ migrations_applied: not yet: [\s\S]*?\n {4}run: npx supabase db push\n/,
    );
  });
});
