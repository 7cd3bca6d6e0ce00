import type postgres from "postgres";

/** Through which door the attacker comes. */
export type Layer = "anon" | "authenticated" | "service_role" | "direct";

/** What stopped an attempt. `nothing`: it went through, or it failed for a reason that proves nothing. */
export type By =
  | "rls"
  | "guard"
  | "foreign key"
  | "not null"
  | "unique key"
  | "privilege"
  | "context"
  | "trail"
  | "wrapper"
  | "nothing";

/** What one attempt came to. */
export type AttackResult = { outcome: "stopped" | "open"; by: By; detail: string };

/** One cross-tenant attempt. `run` leaves no trace: it works in a transaction that is rolled back. */
export type Attack = {
  id: string;
  threat: string;
  layer: Layer;
  title: string;
  run(context: AttackContext): Promise<AttackResult>;
};

/** Rows of one tenant to aim at. */
export type Target = {
  tenant: string;
  development: string;
  unit: string;
  message: string;
  member: string;
};

/** Who is there to attack as, and to be attacked. */
export type AttackContext = {
  /** One connection as `postgres`, who may become every role of the API. */
  sql: postgres.Sql;
  own: Target;
  victim: Target;
  /** User ids by role in the own tenant; `disabled` left, `stranger` belongs nowhere, `both` to two tenants. */
  people: Record<Person, string>;
  /** The fingerprint of the victim's rows before any attack. */
  untouched: string;
};

export type Person = "owner" | "manager" | "agent" | "disabled" | "stranger" | "both";

/** A connection in a transaction. */
export type Db = postgres.Sql;

/** What PostgREST, or a direct connection, puts into the transaction before the statement. */
export type Identity = {
  role: string;
  /** `request.jwt.claims`: an object, or raw text to forge with. */
  claims?: Record<string, unknown> | string;
  headers?: Record<string, string>;
  settings?: Record<string, string>;
};

/** A statement against a target; answers how many of the target's rows it reached. */
export type Step = (db: Db, target: Target, context: AttackContext) => Promise<number>;
