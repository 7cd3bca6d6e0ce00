import process from "node:process";
import { Command } from "commander";
import postgres from "postgres";
import { databaseUrl, readEnv } from "../../functions/_core/env.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { type CommonOptions, commonOptions, isMain, runCli } from "../../scripts/cli/run.ts";
import * as z from "zod";
import { anonymous } from "./attacks/anon.ts";
import { fingerprint } from "./attacks/attempt.ts";
import { authenticated } from "./attacks/authenticated.ts";
import { direct } from "./attacks/direct.ts";
import { serviceRole } from "./attacks/service-role.ts";
import type {
  Attack,
  AttackContext,
  AttackResult,
  Db,
  Layer,
  Person,
  Target,
} from "./attacks/types.ts";
import { wrapper } from "./attacks/wrapper.ts";

export type { Attack, AttackContext, AttackResult, Layer };

/** Every cross-tenant attempt, by layer. */
export const attacks: readonly Attack[] = [
  ...anonymous,
  ...authenticated,
  ...serviceRole,
  ...wrapper,
  ...direct,
];

/** The one class that the database can't stop yet; everything else that is open is a hole. */
export const KNOWN_OPEN = "raw service_role read";

/** One attempt and what it came to. */
export type AttackReport = Omit<Attack, "run"> & AttackResult;

/** How to run them. */
export type AttackOptions = {
  /** Only these attempts, by id. */
  only?: readonly string[];
  /** Called after each attempt. */
  onResult?: (report: AttackReport, done: number, total: number) => void;
};

/**
 * Attack a hardened OpenHouse database for real, as anon, authenticated, service_role and direct connections. Every
 * attempt is preceded by its control and rolled back; at the end the victim's rows are compared with the beginning.
 *
 * @example
 * const reports = await runAttacks(url, { onResult: ({ title, by }) => console.log(title, by) });
 * const holes = reports.filter((r) => r.outcome === "open" && r.threat !== KNOWN_OPEN);
 * @throws BulkheadError `BH_ATTACK`, when there is nobody to attack or an attempt left a trace.
 */
export async function runAttacks(
  url: string,
  options: AttackOptions = {},
): Promise<AttackReport[]> {
  const chosen = attacks.filter(({ id }) => options.only?.includes(id) ?? true);
  // One connection, so that begin, savepoint and rollback can be said by hand.
  // bulkhead-ignore raw-pool: the attack looks at every tenant to see what it did
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    // A lock that somebody holds ends the attempt with an error, which proves nothing, instead of waiting for ever.
    connection: {
      application_name: "bulkhead attacks",
      lock_timeout: 5_000,
      statement_timeout: 60_000,
    },
  });
  try {
    const context = await survey(sql);
    const reports: AttackReport[] = [];
    for (const { run, ...attack } of chosen) {
      const report = { ...attack, ...await run(context) };
      reports.push(report);
      options.onResult?.(report, reports.length, chosen.length);
    }
    if (await fingerprint(sql, context.victim.tenant) !== context.untouched) {
      throw impossible(
        "the rows of the attacked tenant changed meanwhile; something else is writing, or a rollback failed",
      );
    }
    return reports;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Two tenants that share nobody, their rows, and the people of the first. */
async function survey(sql: Db): Promise<AttackContext> {
  const people = await sql<{ who: Person; user_id: string; tenant_id: string }[]>`
    with people as (
        select user_id, min(tenant_id::text) as tenant_id, count(*) as tenants, bool_and(is_active) as is_active, min(role) as role
        from public.members group by user_id
    )
    select distinct on (1, tenant_id) case when tenants > 1 then 'both' when not is_active then 'disabled' else role end as who,
        user_id, tenant_id
    from people order by 1, tenant_id, user_id`;
  const tenants = [...new Set(people.map(({ tenant_id }) => tenant_id))];
  const find = (tenant: string, who: Person) =>
    people.find((row) => row.who === who && (who === "both" || row.tenant_id === tenant))?.user_id;
  const both = find("", "both");
  // The own tenant is one of those that somebody shares, so that choosing between memberships can be attacked too.
  const shared = both === undefined
    ? []
    : await sql`select tenant_id from public.members where user_id = ${both}`;
  const own =
    shared.map((row) => String(row["tenant_id"])).find((tenant) => find(tenant, "owner")) ??
      tenants[0];
  const other =
    tenants.find((tenant) =>
      tenant !== own && !shared.some((row) => row["tenant_id"] === tenant)
    ) ??
      tenants.find((tenant) => tenant !== own);
  if (own === undefined || other === undefined) {
    throw impossible("there are fewer than two tenants with members");
  }
  const who = (person: Person) => {
    const id = find(own, person);
    if (id === undefined) throw impossible(`the attacker's tenant has no ${person}`);
    return id;
  };
  return {
    sql,
    own: await targetOf(sql, own),
    victim: await targetOf(sql, other),
    people: {
      owner: who("owner"),
      manager: who("manager"),
      agent: who("agent"),
      disabled: who("disabled"),
      both: who("both"),
      stranger: "0b5e55ed-0000-4000-8000-000000000000",
    },
    untouched: await fingerprint(sql, other),
  };
}

async function targetOf(sql: Db, tenant: string): Promise<Target> {
  const [row] = await sql<Target[]>`
    select m.tenant_id as tenant, m.development_id as development, m.unit_id as unit, m.id as message,
        (select user_id from public.members where tenant_id = ${tenant} order by id limit 1) as member
    from public.messages as m where m.tenant_id = ${tenant} order by m.id limit 1`;
  if (row === undefined) throw impossible(`the tenant ${tenant} has no messages`);
  return row;
}

function impossible(state: string): BulkheadError {
  return new BulkheadError("BH_ATTACK", `Cannot attack the database: ${state}`, {
    kind: "unknown",
    hint: "load OpenHouse first: node --import tsx examples/openhouse/generate.ts --rows 1000",
  });
}

/** `node --import tsx examples/openhouse/attacks.ts`: one line an attempt; exits 1 when one that should be stopped is open. */
export function command(): Command {
  return commonOptions(new Command("attacks"))
    .description("Attack a hardened OpenHouse database; everything is rolled back.")
    .action(async ({ databaseEnv, json }: CommonOptions) => {
      const url = readEnv(process.env, z.object({ [databaseEnv]: databaseUrl }))[databaseEnv] ?? "";
      const reports = await runAttacks(url, {
        onResult: ({ outcome, by, layer, title, detail }) => {
          if (!json) {
            process.stdout.write(
              `${outcome === "open" ? "OPEN   " : "stopped"} ${by.padEnd(11)} ${
                layer.padEnd(13)
              } ${title}: ${detail}\n`,
            );
          }
        },
      });
      if (json) process.stdout.write(`${JSON.stringify(reports)}\n`);
      if (reports.some(({ outcome, threat }) => outcome === "open" && threat !== KNOWN_OPEN)) {
        process.exitCode = EXIT.red;
      }
    });
}

if (isMain(import.meta.url)) await runCli(command());
