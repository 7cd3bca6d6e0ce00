import postgres from "postgres";
import type {
  Attack,
  AttackContext,
  AttackResult,
  By,
  Db,
  Identity,
  Layer,
  Step,
  Target,
} from "./types.ts";

/** An attempt in the database: the same statement, first at the own tenant (the control), then at the victim. */
export type Definition = {
  id: string;
  threat: string;
  layer: Layer;
  title: string;
  /** Who asks. For the control the target is the own tenant, so a forged value is then a true one. */
  as: (context: AttackContext, target: Target) => Identity;
  /** Who may do this, where the attacker never may (TRUNCATE, DDL): proves that the statement itself works. */
  controlAs?: (context: AttackContext, target: Target) => Identity;
  setup?: (db: Db, context: AttackContext) => Promise<void>;
  step: Step;
  controlStep?: Step;
  /** How much harm is there afterwards, asked as `postgres`; by default whether a row of the victim changed. */
  harm?: (db: Db, context: AttackContext) => Promise<number>;
  /** Reading is the harm: rows seen count. */
  reads?: boolean;
  /** What to thank when nothing was raised and no harm was done. */
  quietly?: By;
};

type Ran = { reached: number; error?: undefined } | { reached: 0; error: unknown };

/** Make an attempt of its definition. */
export function attempt(definition: Definition): Attack {
  const { id, threat, layer, title } = definition;
  return { id, threat, layer, title, run: (context) => run(definition, context) };
}

async function run(definition: Definition, context: AttackContext): Promise<AttackResult> {
  const { sql: db, own, victim } = context;
  const { as, controlAs = as, step, controlStep = step } = definition;
  await db`begin`;
  try {
    await definition.setup?.(db, context);
    const control = await inSavepoint(db, async () => {
      await become(db, controlAs(context, own));
      return await controlStep(db, own, context);
    });
    if (control.reached === 0) {
      const why = control.error === undefined ? "it reached no row" : brief(control.error);
      return {
        outcome: "open",
        by: "nothing",
        detail: `not proven: the control at the own tenant failed: ${why}`,
      };
    }
    let harm = 0;
    const attack = await inSavepoint(db, async () => {
      await become(db, as(context, victim));
      const reached = await step(db, victim, context);
      // The attacker's role and settings end here: the harm is judged by someone who sees everything.
      await db`select set_config('role', 'none', true)`;
      harm = definition.reads
        ? reached
        : definition.harm
        ? await definition.harm(db, context)
        : await touched(db, context);
      return reached;
    });
    if (attack.error !== undefined) return judge(attack.error);
    if (harm > 0) {
      return {
        outcome: "open",
        by: "nothing",
        detail: `${harm} ${definition.reads ? "rows of another tenant seen" : "changes in place"}`,
      };
    }
    return {
      outcome: "stopped",
      by: definition.quietly ?? "rls",
      detail: `no row reached; own tenant: ${control.reached}`,
    };
  } finally {
    await db`rollback`;
  }
}

async function inSavepoint(db: Db, work: () => Promise<number>): Promise<Ran> {
  await db`savepoint attempt`;
  try {
    return { reached: await work() };
  } catch (error) {
    return { reached: 0, error };
  } finally {
    // Takes the role and the settings back too.
    await db`rollback to savepoint attempt`;
  }
}

/** What a request's transaction begins with: settings first, the role last. */
async function become(db: Db, { role, claims, headers, settings = {} }: Identity): Promise<void> {
  const all = {
    "request.jwt.claims": claims === undefined
      ? ""
      : typeof claims === "string"
      ? claims
      : JSON.stringify(claims),
    "request.headers": JSON.stringify(headers ?? {}),
    ...settings,
  };
  for (const [name, value] of Object.entries(all)) {
    await db`select set_config(${name}, ${value}, true)`;
  }
  await db`select set_config('role', ${role}, true)`;
}

/** SQLSTATEs and messages of refusals that are meant. Any other error proves nothing about isolation. */
function judge(error: unknown): AttackResult {
  const by = stoppedBy(error);
  if (by) return { outcome: "stopped", by, detail: brief(error) };
  return {
    outcome: "open",
    by: "nothing",
    detail: `not proven: failed for another reason: ${brief(error)}`,
  };
}

/** COPY was refused at its end, where the driver loses the message. */
export class CopyRefused extends Error {}

function stoppedBy(error: unknown): By | undefined {
  if (error instanceof CopyRefused) return "guard";
  if (!(error instanceof postgres.PostgresError)) return undefined;
  const { code, message } = error;
  switch (code) {
    case "42501":
      if (/row-level security/.test(message)) return "rls";
      if (/append-only/.test(message)) return "trail";
      return /^(permission denied|must be owner)/.test(message) ? "privilege" : "guard";
    case "BH007":
      return "guard";
    case "BH005":
    case "BH006":
    case "22P02": // a tenant, a subject or claims that are none
      return "context";
    case "23503":
    case "23001":
      return "foreign key";
    case "23502":
      return "not null";
    case "23505":
      return "unique key";
    case "0A000":
      return /row-level security/.test(message) ? "rls" : undefined;
    default:
      return undefined;
  }
}

function brief(error: unknown): string {
  const code = error instanceof postgres.PostgresError ? `${error.code} ` : "";
  const text = error instanceof Error ? error.message : String(error);
  return `${code}${text.replace(/\s+/g, " ").slice(0, 110)}`;
}

async function touched(db: Db, context: AttackContext): Promise<number> {
  return await fingerprint(db, context.victim.tenant) === context.untouched ? 0 : 1;
}

/** Every row of a tenant in one value; a row added, changed, moved or removed changes it. */
export async function fingerprint(db: Db, tenant: string): Promise<string> {
  const [row] = await db`
    select string_agg(n || ':' || h, ' ') as value
    from (
        select count(*) as n, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as h from public.tenants as t where id = ${tenant}
        union all
        select count(*), coalesce(sum(hashtextextended(t::text, 1)::numeric), 0) from public.members as t where tenant_id = ${tenant}
        union all
        select count(*), coalesce(sum(hashtextextended(t::text, 2)::numeric), 0) from public.developments as t where tenant_id = ${tenant}
        union all
        select count(*), coalesce(sum(hashtextextended(t::text, 3)::numeric), 0) from public.units as t where tenant_id = ${tenant}
        union all
        select count(*), coalesce(sum(hashtextextended(t::text, 4)::numeric), 0) from public.messages as t where tenant_id = ${tenant}
        union all
        select count(*), coalesce(sum(hashtextextended(t::text, 5)::numeric), 0) from public.onboarding_attempts as t where tenant_id = ${tenant}
    ) as tables`;
  return String(row?.["value"]);
}

/** A statement whose result rows are what was reached. */
export function rows(text: string, ...names: (keyof Target)[]): Step {
  return async (db, target) => (await db.unsafe(text, names.map((name) => target[name]))).length;
}

/** A statement whose command tag says what was reached. */
export function affected(text: string, ...names: (keyof Target)[]): Step {
  return async (db, target) => (await db.unsafe(text, names.map((name) => target[name]))).count;
}

/** A statement without a count: reached when it did not raise. */
export function done(text: string, ...names: (keyof Target)[]): Step {
  return async (db, target) => {
    await db.unsafe(text, names.map((name) => target[name]));
    return 1;
  };
}

/** A statement whose column `tenant` is compared with the target: what a forgotten filter would show. */
export function unfiltered(text: string): Step {
  return async (db, target) =>
    (await db.unsafe<{ tenant: string }[]>(text)).filter(({ tenant }) => tenant === target.tenant)
      .length;
}
