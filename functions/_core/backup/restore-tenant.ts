import { BulkheadError } from "../errors.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Manifest, ManifestObject } from "./manifest-schema.ts";
import type { ObjectStore } from "./object-store.ts";
import { objectsByTenant, tablesOf } from "./parts.ts";
import { readObject } from "./restore-backup.ts";
import type { ContainerEntry } from "./types.ts";

/** What a live restore may do. */
export type RestoreMode = "dry-run" | "insert-missing" | "replace";

/** How a table of the tenant differs from the backup, by primary key. */
export type TableDifference = {
  readonly table: string;
  /** Rows in the backup. */
  readonly staged: number;
  /** In the backup, not in the database. */
  readonly missing: number;
  /** In both, not the same. */
  readonly changed: number;
  /** In the database, not in the backup. */
  readonly extra: number;
  /** Keys in the backup that now belong to another tenant. */
  readonly collisions: readonly string[];
};

/** Rows that would be written and point to a row that is not there: a user who left, a deleted global row. */
export type MissingParent = {
  readonly table: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly count: number;
  /** What they point to, the first twenty. */
  readonly keys: readonly string[];
};

/** Rows that would be written and that a check constraint of the live table refuses. */
export type BrokenRule = {
  readonly table: string;
  readonly rule: string;
  readonly count: number;
  /** Their primary keys, the first twenty. */
  readonly keys: readonly string[];
};

/** How many rows of each table were written. */
export type Changes = {
  readonly inserted: ReadonlyMap<string, number>;
  readonly updated: ReadonlyMap<string, number>;
  readonly deleted: ReadonlyMap<string, number>;
};

/** What was done, or with a dry run: what would be. */
export type TenantRestore = {
  readonly backup: string;
  readonly tenant: string;
  readonly mode: RestoreMode;
  readonly tables: readonly (TableDifference & {
    readonly inserted: number;
    readonly updated: number;
    readonly deleted: number;
  })[];
};

/** The live database, inside one transaction that ends with `work`. */
export interface TenantStage {
  /** The tenant's id in its one spelling; throws for what is no id. */
  canonical(tenant: string): Promise<string>;
  run<T>(
    options: { tenant: string; backup: string; mode: RestoreMode },
    work: (staging: Staging) => Promise<T>,
  ): Promise<T>;
}

/** Tables are staged (a table that goes on in the next part: again) beside the live ones, compared, then applied: parents first, deletes children first. */
export interface Staging {
  stage(entry: Extract<ContainerEntry, { kind: "table" }>): Promise<void>;
  differences(): Promise<TableDifference[]>;
  missingParents(): Promise<MissingParent[]>;
  brokenRules(): Promise<BrokenRule[]>;
  insertMissing(): Promise<Changes>;
  /** Insert, update and delete. */
  replace(): Promise<Changes>;
}

const none: ReadonlyMap<string, number> = new Map();

/**
 * Put one tenant's rows back into a live database: stage, compare, then insert what is missing or make the
 * tables what they were. One transaction, in the ledger like every other write; ledger rows are never restored.
 *
 * @example
 * await restoreTenant({ store, keyring, manifest, tenant, mode: "insert-missing", tables: ["public.messages"], stage });
 */
export async function restoreTenant(options: {
  readonly store: ObjectStore;
  readonly keyring: Keyring;
  readonly manifest: Manifest;
  readonly tenant: string;
  readonly mode: RestoreMode;
  readonly tables?: readonly string[];
  readonly stage: TenantStage;
}): Promise<TenantRestore> {
  const { manifest, mode } = options;
  const tenant = await options.stage.canonical(options.tenant);
  const parts = objectsByTenant(manifest).get(tenant);
  if (!parts || parts[0]?.kind !== "tenant") throw notInBackup(tenant, manifest);
  const wanted = choose(parts, options.tables);
  return await options.stage.run({ tenant, backup: manifest.id, mode }, async (staging) => {
    for (const object of parts) {
      for await (const entry of readObject(options, object)) {
        if (entry.kind === "table" && wanted.has(`${entry.schema}.${entry.name}`)) {
          await staging.stage(entry);
        }
      }
    }
    // Here every byte of every part was checked.
    const differences = await staging.differences();
    refuseCollisions(differences, tenant);
    refuseMissingParents(await staging.missingParents(), tenant);
    refuseBrokenRules(await staging.brokenRules(), tenant);
    const { inserted, updated, deleted } = mode === "dry-run"
      ? { inserted: none, updated: none, deleted: none }
      : await (mode === "replace" ? staging.replace() : staging.insertMissing());
    return {
      backup: manifest.id,
      tenant,
      mode,
      tables: differences.map((difference) => ({
        ...difference,
        inserted: inserted.get(difference.table) ?? 0,
        updated: updated.get(difference.table) ?? 0,
        deleted: deleted.get(difference.table) ?? 0,
      })),
    };
  });
}

function choose(
  parts: readonly ManifestObject[],
  names: readonly string[] | undefined,
): Set<string> {
  const present = tablesOf(parts).filter((table) => table.schema !== "bulkhead");
  const full = (table: { schema: string; name: string }) => `${table.schema}.${table.name}`;
  if (!names) return new Set(present.map(full));
  const chosen = new Set<string>();
  for (const name of names) {
    const found = present.filter((table) => full(table) === name || table.name === name);
    if (found.length !== 1 || !found[0]) {
      throw new BulkheadError(
        "BH_TABLE_NOT_IN_BACKUP",
        `Cannot restore the table "${name}": the backup has ${
          found.length ? "several" : "none"
        } of that name`,
        { kind: "usage", hint: `Name one of ${present.map(full).join(", ")}` },
      );
    }
    chosen.add(full(found[0]));
  }
  return chosen;
}

function notInBackup(tenant: string, manifest: Manifest): BulkheadError {
  return new BulkheadError(
    "BH_TENANT_NOT_IN_BACKUP",
    `Cannot restore the tenant "${tenant}": backup ${manifest.id} does not hold it`,
    {
      kind: "usage",
      hint: "List its tenants: npx bulkhead backups show; --backup <id> chooses another backup",
    },
  );
}

function refuseCollisions(differences: readonly TableDifference[], tenant: string): void {
  const hit = differences.filter((difference) => difference.collisions.length > 0);
  if (hit.length === 0) return;
  const list = hit.map((each) => `${each.table} ${each.collisions.join(", ")}`).join("; ");
  throw new BulkheadError(
    "BH_RESTORE_COLLISION",
    `Cannot restore the tenant "${tenant}": these keys belong to another tenant now: ${list}`,
    {
      kind: "refused",
      hint: "Nothing was changed. Restore the other tables with --table, or move those rows first",
    },
  );
}

function refuseMissingParents(missing: readonly MissingParent[], tenant: string): void {
  if (missing.length === 0) return;
  const list = missing.map(({ table, columns, parent, count, keys }) =>
    `${table} (${columns.join(", ")}) to ${parent}: ${keys.join(" ")}` +
    (count > keys.length ? ` (${count} rows)` : "")
  ).join("; ");
  throw new BulkheadError(
    "BH_RESTORE_KEYS",
    `Cannot restore the tenant "${tenant}": rows point to what is not there: ${list}`,
    {
      kind: "refused",
      hint:
        "Nothing was changed. Put those rows back first, or restore the table that is pointed to as well (--table)",
    },
  );
}

/** What to do about rows that the database takes no more. */
export const RULES_HINT =
  "Nothing was changed. Drop the constraint, restore, and add it again as NOT VALID; or leave the table out (--table)";

function refuseBrokenRules(broken: readonly BrokenRule[], tenant: string): void {
  if (broken.length === 0) return;
  const list = broken.map(({ table, rule, count, keys }) =>
    `${table}: ${count} ${count === 1 ? "row breaks" : "rows break"} ${rule} (${keys.join(" ")})`
  ).join("; ");
  throw new BulkheadError(
    "BH_RESTORE_RULES",
    `Cannot restore the tenant "${tenant}": the database takes no such rows: ${list}`,
    { kind: "refused", hint: RULES_HINT },
  );
}
