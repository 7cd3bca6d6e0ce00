import * as z from "zod";

const type = z.object({
  /** As `format_type` writes the column's type. */
  name: z.string(),
  /** The type below every domain, without its length. */
  base: z.string(),
  /** `varchar(20)` as 20, `numeric(5, 2)` as 5 and 2; null where the type has no limit. */
  length: z.number().nullable(),
  precision: z.number().nullable(),
  scale: z.number().nullable(),
  /** As in pg_type: b base, e enum, r range, m multirange, c composite. */
  kind: z.string(),
  labels: z.array(z.string()),
  /** Of an array. */
  element: z.string().nullable(),
  /** Check expressions of its domains, about `value`. */
  checks: z.array(z.string()),
  notNull: z.boolean(),
});

const role = z.object({
  name: z.string(),
  bypasses: z.boolean(),
  /** Whether the present user may `set role` to it, by a membership or by granting itself one. */
  reachable: z.boolean(),
  mustGrant: z.boolean(),
});

/** What the matrix needs to know beyond the catalog that adoption reads. */
export const factsSchema = z.object({
  user: z.string(),
  server: z.string(),
  standby: z.boolean(),
  types: z.array(type),
  /** The partition key's columns and the bounds of every partition below, as Postgres prints them. */
  partitions: z.array(
    z.object({ id: z.string(), columns: z.array(z.string()), bounds: z.array(z.string()) }),
  ),
  /** Settings that policies and the application's functions read: `app.current_org_id`. */
  settings: z.array(z.string()),
  roles: z.array(role),
  /** Tables (by name) and roles that hold TRUNCATE there, and whether the kit's guard stands before it. */
  truncate: z.array(z.object({ id: z.string(), role: z.string(), guarded: z.boolean() })),
  /** Tables that a role may read as far as grants go. */
  readable: z.array(z.object({ id: z.string(), role: z.string() })),
  /** Columns that a role may insert where it holds no INSERT on the whole table. */
  insertable: z.array(z.object({ id: z.string(), role: z.string(), columns: z.array(z.string()) })),
});

export type Facts = z.infer<typeof factsSchema>;
export type TypeInfo = z.infer<typeof type>;
export type RoleFact = z.infer<typeof role>;
