import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { storeVariables } from "../../functions/_core/adapters/open-store.ts";
import { connect } from "../../functions/_core/adapters/postgres.ts";
import { kekVariable } from "../../functions/_core/keys/kek.ts";
import { kmsVariable } from "../../functions/_core/keys/kms-variables.ts";
import { databaseUrl } from "../../functions/_core/env.ts";
import { BulkheadError, EXIT, messageOf } from "../../functions/_core/errors.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { missingInConfig } from "./config-toml.ts";
import { examineAlerts } from "./doctor-alerts.ts";
import { examineDatabase, type Vault } from "./doctor-database.ts";
import { pingFunctions } from "./doctor-functions.ts";
import { textOf } from "./files.ts";
import { environment, fail, type Finding, info, pass, renderFindings } from "./finding.ts";
import { type Kit, readKit, sha256 } from "./kit.ts";
import { type Lock, LOCK_PATH, readLock } from "./lock.ts";
import { CONFIG } from "./project.ts";

type Options = CommonOptions & { dir: string; ping: boolean };

/**
 * `bulkhead doctor`: what a project, its database, its functions and this shell lack, and the command for each.
 *
 * @example
 * DATABASE_URL=… node --import tsx scripts/project/doctor.ts --dir ../my-project
 */
export function command(): Command {
  return commonOptions(new Command("doctor"))
    .description("Name what is missing for Bulkhead to work, and the command that puts each right.")
    .option("--dir <project>", "the folder that holds supabase/", ".")
    .option("--no-ping", "do not call the functions")
    .addHelpText(
      "after",
      "\nReads only. Exits 0 when nothing is missing, 1 when something is, 3 when something could not be looked at.",
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const kit = readKit();
  const project = resolve(options.dir);
  const findings: Finding[] = [];
  let lock: Lock | undefined;
  if (existsSync(join(project, CONFIG))) {
    lock = readLock(project);
    findings.push(...examineProject(project, kit, lock));
  } else {
    findings.push(
      info("project", `no ${CONFIG} in ${project}`, "npx bulkhead doctor --dir <project>"),
    );
  }
  const found = await database(options.databaseEnv, kit, lock);
  findings.push(...found.findings);
  if (options.ping) {
    findings.push(...await pingFunctions(found.vault, { fetch, now: new Date() }));
  } else findings.push(info("functions", "not called"));
  findings.push(...examineEnvironment(environment(), found.vault.secret));
  findings.push(...examineAlerts(environment()));
  const count = (status: Finding["status"]) =>
    findings.filter((finding) => finding.status === status).length;
  if (options.json) {
    const counts = { pass: count("pass"), fail: count("fail"), unknown: count("unknown") };
    process.stdout.write(
      `${JSON.stringify({ version: kit.version, project, counts, findings }, null, 2)}\n`,
    );
  } else process.stdout.write(renderFindings(findings));
  process.exitCode = count("fail") > 0 ? EXIT.red : count("unknown") > 0 ? EXIT.unknown : EXIT.ok;
}

function examineProject(project: string, kit: Kit, lock: Lock | undefined): Finding[] {
  if (lock === undefined) {
    return [fail("project", `${LOCK_PATH} is missing: not installed`, "npx bulkhead init")];
  }
  const findings = [
    lock.digest === kit.digest ? pass("project", `version ${lock.version}`) : fail(
      "project",
      `another version than this one, ${kit.version}: ${lock.version}`,
      "npx bulkhead upgrade",
    ),
  ];
  let missing: string[];
  try {
    missing = missingInConfig(textOf(project, CONFIG) ?? "");
    findings.push(
      missing.length === 0
        ? pass("config_toml", "functions and API schema are named")
        : fail("config_toml", `lacks ${missing.join(", ")}`, "npx bulkhead init"),
    );
  } catch (error) {
    if (!(error instanceof BulkheadError)) throw error;
    findings.push(fail("config_toml", error.message, "npx bulkhead init --dry-run"));
  }
  const state = Object.entries(lock.files).map(([path, hash]) => ({
    path,
    hash,
    text: textOf(project, path),
  }));
  const gone = state.filter(({ text }) => text === null).map(({ path }) => path);
  const edited = state.filter(({ text, hash }) => text !== null && sha256(text) !== hash).map((
    { path },
  ) => path);
  if (gone.length > 0) {
    findings.push(fail("files", `gone: ${gone.join(", ")}`, "npx bulkhead init"));
  }
  if (edited.length > 0) {
    findings.push(
      info("files", `changed by you: ${edited.join(", ")}`, "npx bulkhead init --force --dry-run"),
    );
  }
  return findings;
}

async function database(
  name: string,
  kit: Kit,
  lock: Lock | undefined,
): Promise<{ findings: Finding[]; vault: Vault }> {
  const vault: Vault = { url: null, secret: null };
  const parsed = databaseUrl.safeParse(process.env[name]);
  const setting = `export ${name}=postgresql://postgres:<password>@<host>:5432/postgres`;
  if (!parsed.success) {
    const state = process.env[name] ? "is malformed" : "is not set";
    return { findings: [fail("database", `the variable ${name} ${state}`, setting)], vault };
  }
  const sql = connect(parsed.data, { max: 1, applicationName: "bulkhead doctor", readOnly: true });
  try {
    await sql`select 1`;
    return await examineDatabase(sql, kit, lock);
  } catch (error) {
    const state = messageOf(error);
    return { findings: [fail("database", state, setting)], vault };
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Variables of this shell: the command line needs them where it runs, the functions in their own settings. */
function examineEnvironment(env: Record<string, string>, secret: string | null): Finding[] {
  const isFolder = env["BULKHEAD_STORE"]?.startsWith("file://") === true;
  const variables: Record<string, { schema: z.ZodType; set: string }> = {
    ...(env["BULKHEAD_KMS"] === undefined
      ? {
        BULKHEAD_KEK: {
          schema: kekVariable,
          set: "<openssl rand -base64 32, the same everywhere>",
        },
      }
      : {
        BULKHEAD_KMS: { schema: kmsVariable, set: "aws:arn:aws:kms:<region>:<account>:key/<id>" },
      }),
    BULKHEAD_STORE: { schema: storeVariables.BULKHEAD_STORE, set: "s3://<bucket>/<prefix>" },
    ...(isFolder ? {} : {
      BULKHEAD_S3_ENDPOINT: {
        schema: storeVariables.BULKHEAD_S3_ENDPOINT,
        set: "https://s3.<region>.backblazeb2.com",
      },
      BULKHEAD_S3_REGION: { schema: z.string(), set: "<region>" },
      BULKHEAD_S3_KEY_ID: { schema: z.string(), set: "<key id>" },
      BULKHEAD_S3_SECRET: { schema: z.string(), set: "<key>" },
    }),
    BULKHEAD_HMAC_SECRET: {
      schema: z.string().min(43),
      set: "<the Vault secret bulkhead_hmac_secret>",
    },
  };
  return Object.entries(variables).map(([name, { schema, set }]) => {
    const command = `export ${name}=${set}`;
    const value = env[name];
    if (value === undefined) {
      return info(
        `env_${name}`,
        "not set in this shell; backup, drill and the workflows need theirs",
        command,
      );
    }
    if (!schema.safeParse(value).success) return fail(`env_${name}`, "is malformed", command);
    if (name === "BULKHEAD_HMAC_SECRET" && secret !== null && value !== secret) {
      return fail(`env_${name}`, "is not the secret in Vault", command);
    }
    return pass(`env_${name}`, "set");
  });
}

if (isMain(import.meta.url)) await runCli(command());
