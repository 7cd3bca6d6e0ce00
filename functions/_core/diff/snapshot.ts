import * as z from "zod";
import { BulkheadError } from "../errors.ts";

/** What a snapshot holds; docs/diff.md says what each is. */
export const KINDS = [
  "database",
  "role",
  "membership",
  "setting",
  "schema",
  "table",
  "view",
  "materialized view",
  "foreign table",
  "sequence",
  "column",
  "constraint",
  "index",
  "policy",
  "trigger",
  "rule",
  "function",
  "domain",
  "operator",
  "cast",
  "language",
  "extension",
  "event trigger",
  "foreign data wrapper",
  "foreign server",
  "user mapping",
  "publication",
  "publication member",
  "subscription",
  "grant",
  "default privilege",
  "platform",
  "protected table",
  "exempt table",
  "kit setting",
  "kit job",
] as const;
export type Kind = typeof KINDS[number];

/** One property of an object. */
export type Facet = string | number | boolean | null | string[];

const facet = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]);

const object = z.object({
  kind: z.enum(KINDS),
  /** What it belongs to: a table, a role, `table public.messages`; empty for what stands alone. */
  on: z.string(),
  name: z.string(),
}).catchall(facet);

/** Where a snapshot was read. */
const source = z.enum(["database", "migrations"]);

/**
 * The tenant boundary of one state of a database, as plain facts of its catalogs: no row, no secret. `cannot` names
 * what this source could not show, so that its absence means nothing.
 */
export const snapshotSchema = z.object({
  format: z.literal("bulkhead-snapshot"),
  version: z.literal(1),
  source,
  /** The major version of the server. */
  postgres: z.number().int(),
  cannot: z.array(z.string()),
  objects: z.array(object),
});

export type Snapshot = z.infer<typeof snapshotSchema>;
/** One object of the boundary: `kind`, `on` and `name` say which, the other properties are compared. */
export type Thing = z.infer<typeof object>;

/** Which object it is, the same on both sides. */
export const keyOf = (thing: Thing): string => `${thing.kind}\u0000${thing.on}\u0000${thing.name}`;

/**
 * A snapshot in its one order, whatever order the catalogs answered in.
 *
 * @example
 * const snapshot = makeSnapshot({ source: "database", postgres: 17, cannot: [], objects });
 */
export function makeSnapshot(
  from: Omit<Snapshot, "format" | "version">,
): Snapshot {
  const objects = new Map<string, Thing>();
  for (const one of from.objects) objects.set(keyOf(one), sorted(one));
  return {
    format: "bulkhead-snapshot",
    version: 1,
    ...from,
    cannot: [...new Set(from.cannot)].sort(),
    objects: [...objects].sort(([a], [b]) => a < b ? -1 : 1).map(([, one]) => one),
  };
}

/** What is absent is not written: no default, no condition. */
function sorted(thing: Thing): Thing {
  const { kind, on, name, ...facets } = thing;
  const entries = Object.entries(facets).filter(([, value]) => value !== null)
    .sort(([a], [b]) => a < b ? -1 : 1);
  return { kind, on, name, ...Object.fromEntries(entries) };
}

/**
 * The text of a snapshot file: one object a line, so that a review shows what changed.
 *
 * @example
 * await writeFile("bulkhead.snapshot.json", printSnapshot(snapshot));
 */
export function printSnapshot(snapshot: Snapshot): string {
  const { objects, ...head } = snapshot;
  const lines = Object.entries(head).map(([key, value]) =>
    `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`
  );
  const body = objects.map((one) => `    ${JSON.stringify(one)}`).join(",\n");
  return `{\n${lines.join("\n")}\n  "objects": [\n${body}\n  ]\n}\n`;
}

/**
 * Read the text of a snapshot file.
 *
 * @example
 * const before = parseSnapshot(await readFile(path, "utf8"), path);
 * @throws BulkheadError `BH_SNAPSHOT` when it is no snapshot, or one of a newer version.
 */
export function parseSnapshot(text: string, name: string): Snapshot {
  const failed = (state: string, hint: string, cause?: unknown) =>
    new BulkheadError("BH_SNAPSHOT", `Cannot read the snapshot "${name}": ${state}`, {
      kind: "usage",
      hint,
      cause,
    });
  const again = "write it again: npx bulkhead snapshot --out " + name;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw failed("it is no JSON", again, cause);
  }
  const head = z.looseObject({ format: z.literal("bulkhead-snapshot"), version: z.number() })
    .safeParse(value);
  if (!head.success) throw failed("it is no snapshot of the boundary", again, head.error);
  if (head.data.version !== 1) {
    throw failed(
      `it has version ${head.data.version}, this is for version 1`,
      "use the version of Bulkhead that wrote it, or write it again",
    );
  }
  const parsed = snapshotSchema.safeParse(value);
  if (parsed.success) return makeSnapshot(parsed.data);
  const [issue] = parsed.error.issues;
  throw failed(
    `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "malformed"}`,
    again,
    parsed.error,
  );
}

/** A facet that is a list of names; empty where there is none. */
export function names(thing: Thing | undefined, facet: string): string[] {
  const value = thing?.[facet];
  return Array.isArray(value) ? value : [];
}

/** A facet that is text; empty where there is none. */
export function text(thing: Thing | undefined, facet: string): string {
  const value = thing?.[facet];
  return typeof value === "string" ? value : "";
}
