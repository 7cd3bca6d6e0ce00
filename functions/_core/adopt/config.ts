import * as z from "zod";
import { BulkheadError } from "../errors.ts";

const name = z.string().min(1);
const qualifiedName = z.string().regex(/^.+\..+$/s, 'must name the schema too: "public.messages"');
const reason = z.string().min(10, "must say why in at least ten characters");

const tableChoice = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("tenant"),
    /** The tenant column, where it is not the default one. */
    column: name.optional(),
    /** Foreign keys whose parents say the tenant; default: all that lead to tenant tables. */
    through: z.array(name).optional(),
  }),
  z.strictObject({ kind: z.literal("global"), reason }),
  /** Not looked at and not changed; status keeps asking about it while its schema is exposed. */
  z.strictObject({ kind: z.literal("ignore"), reason }),
]);

/** `bulkhead.toml`: every choice that adoption needs, so that a run can be repeated. */
export const configSchema = z.strictObject({
  version: z.literal(1).default(1),
  schemas: z.array(name).min(1).default(["public"]),
  // Below deadlock_timeout (1 s): dropping a key locks two tables, and in a deadlock the step must give up, not the writer.
  lock_timeout: z.string().regex(/^\d+(ms|s)$/, 'must look like "500ms" or "2s"').default("500ms"),
  batch_pages: z.int().min(1).max(100_000).default(1_000),
  tenants: z.strictObject({
    table: qualifiedName,
    column: name.default("tenant_id"),
  }),
  membership: z.strictObject({
    table: qualifiedName,
    user_column: name.default("user_id"),
    tenant_column: name.optional(),
    /** A SQL predicate, such as `is_active`. */
    active: z.string().optional(),
    /** The column that says a member's role; `bulkhead matrix` tries every value. */
    role_column: name.optional(),
  }).optional(),
  roles: z.strictObject({
    /** Log in directly and name their tenant themselves. */
    direct: z.array(name).default([]),
    /** May bypass row level security, besides the role that applies the migrations. */
    platform: z.array(name).default([]),
    /** `close` takes every right on tenants' tables from service_role: back ends arrive as bulkhead_service. */
    service_role: z.enum(["keep", "close"]).default("keep"),
  }).default({ direct: [], platform: [], service_role: "keep" }),
  tables: z.record(qualifiedName, tableChoice).default({}),
  /** `"public.skills.skills_slug_key" = "per_tenant"`. */
  uniques: z.record(z.string(), z.enum(["per_tenant", "global"])).default({}),
  /** Keys to auth.users and to global tables: `keep` (default) or `restrict`. */
  foreign_keys: z.record(z.string(), z.enum(["keep", "restrict"])).default({}),
  /** Permissive policies: `narrow` takes anon and public off it, `keep` is the default. */
  policies: z.record(z.string(), z.enum(["keep", "narrow", "drop"])).default({}),
  /** `pin` sets a search_path, `close` revokes from public and anon, `invoker` gives up the owner's rights. */
  functions: z.record(z.string(), z.array(z.enum(["pin", "close", "invoker"]))).default({}),
  views: z.record(z.string(), z.enum(["keep", "invoker", "close"])).default({}),
  /** Values for the rows that `bulkhead matrix` and `tests generate` write: by table, column = SQL. */
  seed: z.record(qualifiedName, z.record(name, z.string().min(1))).default({}),
});

export type Config = z.infer<typeof configSchema>;
export type TableChoice = z.infer<typeof tableChoice>;

/**
 * Check what a TOML parser read from `bulkhead.toml`.
 *
 * @example
 * const config = parseConfig(parse(await readFile("bulkhead.toml", "utf8")));
 * @throws BulkheadError `BH_ADOPT_CONFIG`, kind `usage`, which names each key that is wrong.
 */
export function parseConfig(value: unknown, file = "bulkhead.toml"): Config {
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) =>
    `${issue.path.map(String).join(".") || "file"}: ${issue.message}`
  );
  throw new BulkheadError(
    "BH_ADOPT_CONFIG",
    `Cannot read "${file}": ${issues.slice(0, 5).join("; ")}`,
    {
      kind: "usage",
      hint: "docs/adopt.md lists every key; bulkhead adopt --write-config writes a starter",
    },
  );
}
