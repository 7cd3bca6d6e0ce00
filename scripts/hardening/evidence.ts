import { join } from "node:path";
import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { openStore, storeVariables } from "../../functions/_core/adapters/open-store.ts";
import { readStatus } from "../../functions/_core/adapters/status-source.ts";
import { openKek } from "../../functions/_core/adapters/open-kek.ts";
import { kekVariables } from "../../functions/_core/keys/kms-variables.ts";
import { openKeyring } from "../../functions/_core/keys/keyring.ts";
import { newestBackup, verifyObjects } from "../../functions/_core/backup/manifest.ts";
import { readEnv } from "../../functions/_core/env.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { readActivity } from "../../functions/_core/adapters/activity-source.ts";
import type { Activity } from "../../functions/_core/status/activity.ts";
import { renderControls } from "../../functions/_core/status/controls.ts";
import { renderCustomerPage } from "../../functions/_core/status/customer-page.ts";
import { renderHtml } from "../../functions/_core/status/html.ts";
import { type Artefact, decide, renderIndex } from "../../functions/_core/status/evidence.ts";
import { wrap } from "../../functions/_core/terminal-text.ts";
import type { StatusReport } from "../../functions/_core/status/contract.ts";
import { openDatabase } from "../cli/database.ts";
import { packageVersion } from "../cli/package.ts";
import { redact } from "../cli/redact.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { newFolder, writeFolder } from "./evidence-folder.ts";
import { type DatabaseEvidence, readEvidence } from "./evidence-queries.ts";
import { signingKey } from "./evidence-signature.ts";
import { fileTree } from "./file-tree.ts";
import { FORMATS, renderReport } from "./formats.ts";

/** The newest manifest of the store, as far as it may be shown: no key, no wrapped key. */
type StoreEvidence = { summary: unknown; auditHead: string | null } | { missing: string };

/**
 * `bulkhead evidence`: gather status, canaries, backups, drills, ledger and versions into one folder, atomically.
 *
 * @example
 * DATABASE_URL=… BULKHEAD_STORE=… BULKHEAD_KEK=… npx bulkhead evidence --out evidence/2026-11
 */
export function command(): Command {
  return commonOptions(new Command("evidence"))
    .description(
      "Gather status, canaries, backups, drills, ledger verification and versions into one folder.\n" +
        "Reads BULKHEAD_STORE, BULKHEAD_S3_READER_*, BULKHEAD_KEK or _KMS for the newest manifest; without a store, the database's records.",
    )
    .option("--out <folder>", "the folder to make", `evidence/${stamp(new Date())}`)
    .addHelpText(
      "after",
      "\nExits 0 on SHIP, 1 on NO-SHIP: something fails or is missing, each named." +
        "\nWith BULKHEAD_EVIDENCE_KEY, an Ed25519 key in PEM, SHA256SUMS is signed: docs/evidence.md.",
    )
    .action(run);
}

async function run(options: CommonOptions & { out: string }): Promise<void> {
  const folder = await newFolder(options.out);
  const signer = signingKey(process.env["BULKHEAD_EVIDENCE_KEY"]);
  const store = await readStore();
  const sql = await openDatabase(options.databaseEnv);
  let report: StatusReport;
  let activity: Activity;
  let found: DatabaseEvidence;
  try {
    report = await readStatus(sql);
    activity = await readActivity(sql);
    found = await readEvidence(
      sql,
      store !== null && "auditHead" in store ? store.auditHead : null,
    );
  } finally {
    await sql.end({ timeout: 5 });
  }
  const artefacts = await gather({ report, activity }, found, store);
  const decision = decide({ report, artefacts, ledgerProblems: found.ledger.problems.length });
  const files = new Map([
    ["README.md", renderIndex({ decision, report, artefacts, version: packageVersion() })],
  ]);
  for (const { name, content } of artefacts) if (content !== null) files.set(name, content);
  await writeFolder(
    folder,
    new Map([...files].map(([name, content]) => [name, redact(content, process.env)])),
    signer,
  );

  const missing = artefacts.filter(({ content }) => content === null).map(({ name }) => name);
  const html = join(folder, "status.html");
  if (options.json) {
    const answer = {
      ship: decision.ship,
      reasons: decision.reasons,
      missing,
      folder,
      report: html,
    };
    process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  } else {
    const lines = [
      decision.ship ? "SHIP" : "NO-SHIP",
      ...decision.reasons.flatMap((reason) =>
        wrap(reason, 76).map((line, at) => `${at === 0 ? "  " : "    "}${line}`)
      ),
    ];
    process.stdout.write(`${redact(lines.join("\n"), process.env)}\n\n${folder}\n${html}\n`);
  }
  process.exitCode = decision.ship ? EXIT.ok : EXIT.red;
}

async function gather(
  { report, activity }: { report: StatusReport; activity: Activity },
  found: DatabaseEvidence,
  store: StoreEvidence | null,
): Promise<Artefact[]> {
  const reports = FORMATS.map((format): Artefact => ({
    name: `status.${format}`,
    proves: "every rule, what passed and what did not, at the time of the check",
    content: format === "html" ? renderHtml(report, activity) : renderReport(report, format),
  }));
  const { ledger } = found;
  return [
    ...reports,
    {
      name: "controls.md",
      proves: "which checks bear on which criterion of SOC 2, and how they stand",
      content: renderControls(report),
    },
    {
      name: "trust-and-safety.md",
      proves: "a draft for customers: only what was proved, in their words",
      content: renderCustomerPage(report),
    },
    file(
      "canaries.json",
      "what the scheduled canaries last found",
      found.canaries,
      "no canary has run",
    ),
    file(
      "backups.json",
      "the newest backup runs as the database recorded them",
      found.backupRuns,
      "no backup is complete",
    ),
    manifest(found, store),
    file(
      "drills.json",
      "that backups were restored elsewhere, compared and tested",
      found.drills,
      "no restore drill has run",
    ),
    file(
      "ledger.json",
      "the audit trail compared with its hash chain, and the chain's head",
      ledger.seals === 0 ? null : ledger,
      "nothing is sealed yet",
    ),
    file(
      "incidents.json",
      "what went wrong in the last 90 days, and when it ended",
      found.incidents,
      "",
    ),
    file("versions.json", "which software made this", {
      bulkhead: packageVersion(),
      node: process.version,
      ...object(found.versions),
    }, ""),
    {
      name: "file-tree.txt",
      proves: "the kit's files with their digests",
      content: await fileTree(),
    },
  ];
}

function manifest(found: DatabaseEvidence, store: StoreEvidence | null): Artefact {
  const name = "manifest-summary.json";
  if (store !== null && "missing" in store) return file(name, "", null, store.missing);
  if (store !== null) {
    return file(
      name,
      "the newest backup's manifest, verified, with every object",
      store.summary,
      "",
    );
  }
  const recorded = found.backupObjects === null
    ? null
    : { source: "database", objects: found.backupObjects };
  return file(
    name,
    "the newest backup's objects as the database recorded them",
    recorded,
    "no backup is complete, and BULKHEAD_STORE is not set",
  );
}

/** Null without BULKHEAD_STORE; a store that holds no sound backup is a finding, one that can't be read an error. */
async function readStore(): Promise<StoreEvidence | null> {
  if (!process.env["BULKHEAD_STORE"]) return null;
  const env = readEnv(process.env, z.object({ ...storeVariables, ...kekVariables(process.env) }));
  const store = openStore(env, "reader");
  try {
    const { manifest, stored, sha256 } = await newestBackup({
      store,
      keyring: await openKeyring({ store, kek: await openKek(env) }),
    });
    const problems = await verifyObjects({ store, manifest });
    if (problems.length > 0) {
      return {
        missing: `${problems.length} objects of backup ${manifest.id} are gone or cut, first ${
          problems[0]?.key
        }`,
      };
    }
    const { objects, ...head } = manifest;
    const listed = objects.map(({ tables: _tables, ...object }) => object);
    const summary = { store: store.describe(), key: stored.key, sha256, ...head, objects: listed };
    return { summary, auditHead: manifest.auditHead };
  } catch (error) {
    if (error instanceof BulkheadError && (error.kind === "red" || error.kind === "integrity")) {
      return { missing: error.message };
    }
    throw error;
  }
}

function file(name: string, proves: string, value: unknown, missing: string): Artefact {
  if (value === null) return { name, proves, content: null, missing };
  return { name, proves, content: `${JSON.stringify(value, null, 2)}\n` };
}

const object = (value: unknown): object => typeof value === "object" && value !== null ? value : {};

function stamp(now: Date): string {
  return now.toISOString().replace(/\.\d+/, "").replace(/[-:]/g, "");
}

if (isMain(import.meta.url)) await runCli(command());
