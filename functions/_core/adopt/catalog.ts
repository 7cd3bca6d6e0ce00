import * as z from "zod";

/** A table's or type's name as `format('%I.%I')` writes it; the key of everything below. */
const qualified = z.string();

const column = z.object({
  name: z.string(),
  /** As `format_type` writes it. */
  type: z.string(),
  notNull: z.boolean(),
  default: z.string().nullable(),
  /** `always` or `by default` identity, or a stored or virtual generated column. */
  generated: z.boolean(),
  identity: z.boolean(),
});

const constraint = z.object({
  name: z.string(),
  type: z.enum(["p", "u", "f", "c"]),
  columns: z.array(z.string()),
  parent: qualified.nullable(),
  parentColumns: z.array(z.string()),
  /** As in pg_constraint: a no action, r restrict, c cascade, n set null, d set default. */
  onDelete: z.string(),
  onUpdate: z.string(),
  deferrable: z.boolean(),
  deferred: z.boolean(),
  validated: z.boolean(),
  definition: z.string(),
});

const index = z.object({
  name: z.string(),
  unique: z.boolean(),
  primary: z.boolean(),
  valid: z.boolean(),
  /** Key columns; null where the key is an expression. */
  columns: z.array(z.string().nullable()),
  /** Every key as SQL text with its options, in order. */
  keys: z.array(z.string()),
  predicate: z.string().nullable(),
  nullsNotDistinct: z.boolean(),
  definition: z.string(),
  constraint: z.string().nullable(),
});

const policy = z.object({
  name: z.string(),
  permissive: z.boolean(),
  /** r select, a insert, w update, d delete, * all. */
  command: z.enum(["r", "a", "w", "d", "*"]),
  roles: z.array(z.string()),
  using: z.string().nullable(),
  check: z.string().nullable(),
});

const grant = z.object({ grantee: z.string(), privilege: z.string(), grantable: z.boolean() });

const table = z.object({
  id: qualified,
  schema: z.string(),
  name: z.string(),
  partitioned: z.boolean(),
  /** Set on partitions and inheritance children. */
  parent: qualified.nullable(),
  isPartition: z.boolean(),
  /** The planner's estimate; -1 where nobody analysed. */
  rows: z.number(),
  rls: z.boolean(),
  forced: z.boolean(),
  owner: z.string(),
  ownerBypasses: z.boolean(),
  columns: z.array(column),
  constraints: z.array(constraint),
  indexes: z.array(index),
  policies: z.array(policy),
  grants: z.array(grant),
  triggers: z.array(z.string()),
});

const routine = z.object({
  id: z.string(),
  schema: z.string(),
  definer: z.boolean(),
  searchPath: z.boolean(),
  anon: z.boolean(),
  /** Whether `authenticated` may call it. */
  member: z.boolean(),
  /** Lower case: which tables it names, and whether it asks who is calling. */
  body: z.string(),
  trigger: z.boolean(),
  /** By name: which functions a policy calls, and whether they may be re-run for every row. */
  name: z.string(),
  volatility: z.string(),
  grants: z.array(grant),
});

const view = z.object({
  id: qualified,
  schema: z.string(),
  materialized: z.boolean(),
  invoker: z.boolean(),
  reachable: z.boolean(),
  sources: z.array(qualified),
});

/** What adoption needs to know of a database: read once, then everything is a pure function of it. */
export const catalogSchema = z.object({
  database: z.string(),
  version: z.number(),
  tables: z.array(table),
  routines: z.array(routine),
  views: z.array(view),
  kit: z.object({
    tenantsTable: qualified.nullable(),
    protected: z.array(z.object({ id: qualified, column: z.string() })),
    exempt: z.array(qualified),
    serviceRoleClosed: z.boolean(),
  }).nullable(),
});

export type Catalog = z.infer<typeof catalogSchema>;
export type Table = z.infer<typeof table>;
export type Column = z.infer<typeof column>;
export type Constraint = z.infer<typeof constraint>;
export type Index = z.infer<typeof index>;
export type Policy = z.infer<typeof policy>;
export type Grant = z.infer<typeof grant>;
export type Routine = z.infer<typeof routine>;
export type View = z.infer<typeof view>;
