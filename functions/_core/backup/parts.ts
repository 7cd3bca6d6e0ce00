import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import type { Manifest, ManifestObject, ManifestTable } from "./manifest-schema.ts";
import { GLOBAL_TENANT } from "./types.ts";

/** The document that begins each of several parts; an object without it is the only one of its tenant. */
export const PARTS_DOCUMENT = "parts";

const partsDocument = z.strictObject({ of: z.number().int().min(2) });

/** What {@link PARTS_DOCUMENT} says: how many parts there are. */
export function partsIn(value: unknown): number {
  const found = partsDocument.safeParse(value);
  if (found.success) return found.data.of;
  throw new BulkheadError("BH_OBJECT_FORMAT", "Cannot open the object: it counts no parts", {
    kind: "integrity",
    hint: "Restore from another backup",
    cause: found.error,
  });
}

/**
 * A backup's objects by tenant, `@global` first, each tenant's parts in their order. A number that is missing or there
 * twice is an error: part of a tenant must never pass for the whole.
 *
 * @example
 * for (const [tenant, parts] of objectsByTenant(manifest)) for (const object of parts) await load(object);
 * @throws BulkheadError `BH_BACKUP_INCOMPLETE`, kind `integrity`.
 */
export function objectsByTenant(
  manifest: Pick<Manifest, "id" | "objects">,
): Map<string, readonly ManifestObject[]> {
  const groups = new Map<string, ManifestObject[]>([[GLOBAL_TENANT, []]]);
  for (const object of manifest.objects) {
    const group = groups.get(object.tenant);
    if (group) group.push(object);
    else groups.set(object.tenant, [object]);
  }
  for (const [tenant, parts] of groups) {
    if (parts.length === 0) groups.delete(tenant);
    parts.sort((a, b) => a.part - b.part);
    const isWhole = parts.every(({ part, backup }, i) =>
      part === i + 1 && backup === parts[0]?.backup
    );
    if (isWhole) continue;
    throw new BulkheadError(
      "BH_BACKUP_INCOMPLETE",
      `Cannot read the backup "${manifest.id}": tenant "${tenant}" has the parts ${
        parts.map(({ part }) => part).join(", ")
      }`,
      {
        kind: "integrity",
        hint: "Choose another one: npx bulkhead backups list, then --backup <id>",
      },
    );
  }
  return groups;
}

/**
 * The tables of a tenant's parts: rows and bytes added up where a table goes on in the next part. The content hash is
 * that of all of its rows in every part.
 */
export function tablesOf(parts: readonly ManifestObject[]): readonly ManifestTable[] {
  const tables = new Map<string, ManifestTable>();
  for (const { tenant, tables: own } of parts) {
    for (const table of own) {
      const name = JSON.stringify([table.schema, table.name]);
      const before = tables.get(name);
      if (before && before.contentHash !== table.contentHash) {
        throw new BulkheadError(
          "BH_OBJECT_MISMATCH",
          `Cannot restore "${tenant}": its parts show ${table.schema}.${table.name} at different moments`,
          { kind: "integrity", hint: "Choose another backup: npx bulkhead backups list" },
        );
      }
      const rows = table.rows + (before?.rows ?? 0);
      const bytes = table.bytes + (before?.bytes ?? 0);
      tables.set(name, { ...table, rows, bytes });
    }
  }
  return [...tables.values()];
}

/** How many tenants a backup holds, however many parts they have. */
export function tenantsIn(manifest: Pick<Manifest, "objects">): number {
  return new Set(
    manifest.objects.filter(({ kind }) => kind === "tenant").map(({ tenant }) => tenant),
  ).size;
}
