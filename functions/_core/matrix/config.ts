import * as z from "zod";
import type { Catalog } from "../adopt/catalog.ts";
import { type Config, parseConfig } from "../adopt/config.ts";

/** What `bulkhead.configure()` was told. */
export const kitSettingsSchema = z.object({
  tenants_table: z.string(),
  tenant_column: z.string(),
  membership_table: z.string().nullable(),
  membership_user_column: z.string().nullable(),
  membership_tenant_column: z.string().nullable(),
  membership_active: z.string().nullable(),
  direct_roles: z.array(z.string()),
  exposed_schemas: z.array(z.string()),
});
export type KitSettings = z.infer<typeof kitSettingsSchema>;

/**
 * The configuration of a database that the kit protects already: what it declares comes first, bulkhead.toml adds
 * what the kit does not know (values for rows, the role column).
 *
 * @example
 * const config = kitConfig(catalog, settings, given);
 */
export function kitConfig(catalog: Catalog, settings: KitSettings, given: Config | null): Config {
  const membership = settings.membership_table === null ? given?.membership : {
    table: settings.membership_table,
    user_column: settings.membership_user_column ?? "user_id",
    ...(settings.membership_tenant_column === null
      ? {}
      : { tenant_column: settings.membership_tenant_column }),
    ...(settings.membership_active === null ? {} : { active: settings.membership_active }),
    ...(given?.membership?.role_column === undefined
      ? {}
      : { role_column: given.membership.role_column }),
  };
  const tables: Config["tables"] = { ...given?.tables };
  for (const id of catalog.kit?.exempt ?? []) {
    tables[id] = { kind: "global", reason: "exempt by bulkhead.exempt()" };
  }
  for (const { id, column } of catalog.kit?.protected ?? []) {
    if (id !== settings.tenants_table) tables[id] = { kind: "tenant", column };
  }
  return parseConfig({
    ...given,
    schemas: [...new Set([...settings.exposed_schemas, ...given?.schemas ?? []])],
    tenants: { table: settings.tenants_table, column: settings.tenant_column },
    membership,
    roles: {
      direct: [...new Set([...settings.direct_roles, ...given?.roles.direct ?? []])],
      platform: given?.roles.platform ?? [],
    },
    tables,
  });
}
