import { createReadStream } from "node:fs";
import process from "node:process";
import { Command } from "commander";
import * as z from "zod";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { type ExportVerdict, verifyExport } from "../../functions/_core/ledger/verify-export.ts";
import { openDatabase } from "../cli/database.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../cli/run.ts";
import { readAnchor } from "./anchor.ts";

type Options = CommonOptions & {
  export?: string;
  anchor?: string;
  newest?: string;
  seals?: string;
};

/**
 * `bulkhead verify`: the ledger against its seals, in the database or in an export that needs none.
 *
 * @example
 * bulkhead verify --export acme.jsonl --anchor manifest.json
 */
export function command(): Command {
  return commonOptions(new Command("verify"))
    .description(
      "Check the ledger against its seals: an export without a database, or the live one.",
    )
    .option("--export <file>", "a file of bulkhead audit export; - for standard input")
    .option("--anchor <head>", "a head kept elsewhere, or a file with one: a backup's manifest")
    .option("--newest <n>", "live: only so many last seals, event by event")
    .option("--seals <a-b>", "live: only these seals, event by event")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const anchor = options.anchor === undefined ? undefined : await readAnchor(options.anchor);
  if (options.export === undefined) return await verifyLive(options, anchor);
  if (options.newest !== undefined || options.seals !== undefined) {
    throw new BulkheadError(
      "BH_USAGE",
      "Cannot verify a part of an export: --newest and --seals are for the live ledger",
      { kind: "usage", hint: "leave them out" },
    );
  }
  const verdict = await verifyExport(
    source(options.export),
    anchor === undefined ? {} : { anchor },
  );
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ ok: verdict.offence === null, anchor, ...verdict })}\n`,
    );
  } else process.stdout.write(`${describe(verdict, anchor).join("\n")}\n`);
  if (verdict.offence !== null) process.exitCode = EXIT.red;
}

async function* source(path: string): AsyncGenerator<Uint8Array> {
  const file = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    for await (const chunk of file) yield chunk;
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    throw new BulkheadError("BH_EXPORT_READ", `Cannot read "${path}": ${cause.code}`, {
      kind: "usage",
      hint: "name a file of bulkhead audit export",
      cause,
    });
  }
}

function describe(found: ExportVerdict, anchor: string | undefined): string[] {
  const { scope, offence } = found;
  if (offence !== null) {
    const where = [
      `line ${offence.line}`,
      offence.seal === null ? null : `seal ${offence.seal}`,
      offence.event === null ? null : `event ${offence.event}`,
    ].filter((each) => each !== null);
    return [`BROKEN  ${where.join(", ")}: ${offence.problem}`];
  }
  const whose = "tenant" in scope
    ? `tenant ${scope.tenant}`
    : "part" in scope
    ? scope.part
    : "the whole ledger";
  const lines = [
    `events    ${found.events} of ${whose}, each as it was sealed`,
    `chain     ${found.links} rows from the first, ${found.seals} seals opened`,
    `head      ${found.head}`,
  ];
  if (found.erased > 0) lines.push(`erased    ${found.erased} events, each on record`);
  if (found.erasedElsewhere > 0) {
    lines.push(`erased    ${found.erasedElsewhere} events, recorded in another part of the ledger`);
  }
  for (const { part, events, sha256 } of found.retired) {
    lines.push(`retired   ${part}: ${events} events, in the export with sha256 ${sha256}`);
  }
  if ("tenant" in scope) {
    lines.push(
      found.completeTo === null
        ? "complete  not shown: the export does not end with its own record"
        : `complete  no event of the tenant is left out up to seal ${found.completeTo}`,
    );
  }
  lines.push(
    anchor === undefined
      ? "anchor    none given: a chain that was made anew from end to end would pass"
      : "anchor    is in the chain",
  );
  return lines;
}

const problemRows = z.array(z.object({
  seq: z.string().nullable(),
  part: z.string().nullable(),
  problem: z.string(),
  event_id: z.string().nullable(),
  tenant_id: z.string().nullable(),
}));

async function verifyLive(options: Options, anchor: string | undefined): Promise<void> {
  const newest = options.newest === undefined ? null : count(options.newest);
  const [first, last] = options.seals === undefined ? [null, null] : stretch(options.seals);
  const sql = await openDatabase(options.databaseEnv);
  try {
    const { problems, state } = await sql.begin(
      "isolation level repeatable read read only",
      async (tx) => {
        await tx`set local statement_timeout = 0`;
        const problems = problemRows.parse(
          await tx`
            select v.seq::text, v.part, v.problem, v.event_id::text, v.tenant_id
            from bulkhead.verify_audit(${anchor ?? null}, ${newest}, ${first}, ${last}) as v
          `,
        );
        const [state] = await tx<{ seals: string; events: string; head: string }[]>`
          select count(*)::text as seals, coalesce(sum(s.events), 0)::text as events, bulkhead.audit_head() as head
          from bulkhead.audit_seals as s where s.kind = 'seal'
        `;
        return { problems, state };
      },
    );
    if (options.json) {
      process.stdout.write(
        `${JSON.stringify({ ok: problems.length === 0, anchor, ...state, problems })}\n`,
      );
    } else if (problems.length === 0) {
      process.stdout.write(
        `${state?.events} events under ${state?.seals} seals` +
          `${
            newest !== null || first !== null ? ", of which the stretch asked for was checked" : ""
          }\n` +
          `head      ${state?.head}\n` +
          `anchor    ${anchor === undefined ? "none given" : "is in the chain"}\n`,
      );
    } else {
      for (const { seq, part, event_id, problem } of problems) {
        const where = [
          seq === null ? "chain" : `seal ${seq}`,
          part,
          event_id === null ? null : `event ${event_id}`,
        ].filter((each) => each !== null);
        process.stdout.write(`BROKEN  ${where.join(", ")}: ${problem}\n`);
      }
    }
    if (problems.length > 0) process.exitCode = EXIT.red;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function count(text: string): string {
  if (/^[1-9]\d{0,17}$/.test(text)) return text;
  throw new BulkheadError("BH_USAGE", `Cannot verify the newest "${text}": that is no count`, {
    kind: "usage",
    hint: "--newest 100",
  });
}

function stretch(text: string): [string, string] {
  const [, first, last] = /^([1-9]\d{0,17})-([1-9]\d{0,17})$/.exec(text) ?? [];
  if (first !== undefined && last !== undefined && BigInt(first) <= BigInt(last)) {
    return [first, last];
  }
  throw new BulkheadError("BH_USAGE", `Cannot verify the seals "${text}": that is no stretch`, {
    kind: "usage",
    hint: "--seals 100-200",
  });
}

if (isMain(import.meta.url)) await runCli(command());
