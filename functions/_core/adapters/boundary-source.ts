import * as z from "zod";
import { bodyFacts, mentions } from "../diff/body-facts.ts";
import { publicValue } from "../diff/settings.ts";
import {
  type Facet,
  makeSnapshot,
  names,
  type Snapshot,
  snapshotSchema,
  text,
  type Thing,
} from "../diff/snapshot.ts";
import { BulkheadError } from "../errors.ts";
import { RELATION_QUERIES } from "./boundary-relations.ts";
import { CRON_QUERY, KIT_QUERIES, RIGHT_QUERIES } from "./boundary-rights.ts";
import type { Sql, TransactionSql } from "./postgres.ts";

/** Schemas of Supabase, extensions and migrators; what a project puts there itself is read all the same. */
const PLATFORM = [
  ...["auth", "storage", "realtime", "_realtime", "vault", "extensions", "graphql"],
  ...["graphql_public", "cron", "net", "pgsodium", "pgsodium_masks", "supabase_migrations"],
  ...["supabase_functions", "pgbouncer", "drizzle", "_analytics", "pgtle"],
];
/** Policies and triggers of these are their own business. */
const CLOSED = ["cron", "net", "pgsodium", "pgsodium_masks", "information_schema", "drizzle"];
/** Tables of the platform that hold the project's users and files. */
const WATCHED = ["auth", "storage", "realtime", "vault"];

const rows = z.array(z.object({ thing: z.looseObject({}) }));

/**
 * Read the boundary of a database from its catalogs; no row of a table of yours is read, and nothing is written.
 *
 * @example
 * const snapshot = await readBoundary(sql, "database");
 * @throws BulkheadError `BH_SNAPSHOT_KIT` when the kit is there and this role may not read what it was told.
 */
export async function readBoundary(sql: Sql, source: Snapshot["source"]): Promise<Snapshot> {
  let snapshot: Snapshot | undefined;
  await sql.begin("isolation level repeatable read read only", async (tx) => {
    // Compiling such queries takes seconds, running them milliseconds; and names must come out qualified.
    await tx.unsafe("set local jit = off; set local search_path = pg_catalog").simple();
    snapshot = await readInside(tx, source);
  });
  if (snapshot === undefined) throw new Error("the transaction ended without an answer");
  return snapshot;
}

/** {@link readBoundary} inside a transaction of the caller's, search_path and jit included. */
export async function readInside(
  tx: TransactionSql,
  source: Snapshot["source"],
): Promise<Snapshot> {
  const found: Thing[] = [];
  const cannot: string[] = [];
  const parameters = [PLATFORM, CLOSED, WATCHED];
  for (const query of [...RELATION_QUERIES, ...RIGHT_QUERIES]) {
    found.push(...await things(tx, query, parameters));
  }
  const [here] = await tx.unsafe(
    `select current_setting('server_version_num')::integer / 10000 as major,
    to_regclass('bulkhead.protected_tables') is not null as kit,
    to_regclass('bulkhead.jobs') is not null as jobs, to_regclass('cron.job') is not null as cron`,
  );
  if (here?.["kit"] === true) {
    await tx.unsafe("set local row_security = off");
    try {
      for (const query of KIT_QUERIES) {
        if (query.includes("bulkhead.jobs") && here["jobs"] !== true) continue;
        found.push(...await things(tx, query, []));
      }
      if (here["cron"] === true) found.push(...await things(tx, CRON_QUERY, []));
      else cannot.push("kit job");
    } catch (cause) {
      throw unreadable(cause);
    }
  }
  if (source === "migrations") cannot.push("event trigger");
  const relations = found.filter((one) => RELATIONS.has(one.kind)).map((one) => one.name);
  return makeSnapshot({
    source,
    postgres: z.number().parse(here?.["major"]),
    cannot,
    objects: await Promise.all(found.map((one) => finished(one, relations))),
  });
}

const RELATIONS: ReadonlySet<string> = new Set([
  "table",
  "view",
  "materialized view",
  "foreign table",
]);

async function things(tx: TransactionSql, query: string, all: string[][]): Promise<Thing[]> {
  // Each query takes as many parameters as it names.
  const count = Math.max(0, ...[...query.matchAll(/\$(\d)/g)].map(([, n]) => Number(n)));
  const used = all.slice(0, count);
  const filler = used.map((_, at) => `$${at + 1}::text[] is not null`).join(" and ");
  const statement = count < 2 ? query : `select thing from (${query}) as q (thing) where ${filler}`;
  const answer = rows.parse(await tx.unsafe(statement, used));
  return answer.map(({ thing }) => snapshotSchema.shape.objects.element.parse(thing));
}

/** What must not leave the reader is replaced: sources by hashes and tags, values of settings that may be secrets. */
async function finished(thing: Thing, relations: readonly string[]): Promise<Thing> {
  if (thing.kind === "setting") {
    return { ...thing, value: publicValue(thing.name, text(thing, "value")) };
  }
  if (thing.kind !== "function") return thing;
  const { source, ...rest } = thing;
  const body = typeof source === "string" ? source : "";
  const facets: Record<string, Facet> = {
    body: await digest(body),
    does: bodyFacts(body),
    reads: mentions(body, relations),
    settings: names(thing, "settings").map((line) => {
      const at = line.indexOf("=");
      return `${line.slice(0, at)}=${publicValue(line.slice(0, at), line.slice(at + 1))}`;
    }),
  };
  return { ...rest, ...facets };
}

/** The first half of SHA-256 in hex, as the snapshot writes it. */
export async function digest(value: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(value));
  return [...new Uint8Array(bytes)].slice(0, 16).map((one) => one.toString(16).padStart(2, "0"))
    .join("");
}

function unreadable(cause: unknown): unknown {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code !== "42501") return cause;
  return new BulkheadError(
    "BH_SNAPSHOT_KIT",
    "Cannot read what the kit was told: this role may not",
    {
      kind: "unknown",
      hint: "connect as the role that installed the kit, usually postgres",
      cause,
    },
  );
}
