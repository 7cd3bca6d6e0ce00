import type { Column } from "../adopt/catalog.ts";
import { literal } from "../adopt/names.ts";
import type { TypeInfo } from "./facts.ts";
import type { Hint } from "./hints.ts";
import { sampleRegex } from "./regex.ts";

/** One value as SQL; `raw` is the same as text, where it is a literal. */
export type Value = { sql: string; raw?: string };

/** A value for the n-th row: two rows never share one, where the type has room for that. */
export type Candidate = (n: number) => Value;

/** What a column is used for, beside its type. */
export type Use = {
  table: string;
  /** Position among the columns: a later column of a time gets a later time. */
  position: number;
  /** Part of a key or a unique index, or numbered by the database. */
  key: boolean;
  hints: readonly Hint[];
  /** Lower bounds of partitions by this column. */
  bounds: readonly string[];
};

const text = (raw: string): Value => ({ sql: literal(raw), raw });
const number = (raw: string): Value => ({ sql: raw.startsWith("-") ? `'${raw}'` : raw, raw });
const pad = (n: number, width: number) => String(n).padStart(width, "0");

/**
 * Values that a column may take, the likeliest first. Empty where nothing is known about its type: then a person
 * says it in bulkhead.toml.
 *
 * @example
 * candidates(column, type, use)[0]?.(12).sql; // "'messages-12'"
 */
export function candidates(column: Column, type: TypeInfo, use: Use): Candidate[] {
  const hinted = use.hints.flatMap((hint) => fromHint(hint, type, use));
  const split = use.bounds.map((bound): Candidate => () => text(bound));
  const plain = byType(column.name, type, use);
  // A list of values, a pattern or a partition says more than the type does.
  return [...split, ...hinted, ...plain];
}

function fromHint(hint: Hint, type: TypeInfo, use: Use): Candidate[] {
  const numeric = isNumeric(type.base);
  switch (hint.kind) {
    case "values": {
      const { values } = hint;
      const wrap = numeric ? number : text;
      if (use.key) return [(n) => wrap(values[n % values.length] ?? "")];
      return values.slice(0, 8).map((value) => () => wrap(value));
    }
    case "regex":
      return sampleRegex(hint.pattern, 12) === null
        ? []
        : [(n) => text(sampleRegex(hint.pattern, n) ?? "")];
    case "like":
      return [
        (n) => text(hint.pattern.replace(/%+/, String(n)).replace(/%/g, "").replace(/_/g, "x")),
      ];
    case "bounds": {
      if (!numeric) return [];
      const all = use.hints.filter((one) => one.kind === "bounds");
      const min = Math.max(...all.map((one) => one.min ?? -Infinity));
      const max = Math.min(...all.map((one) => one.max ?? Infinity));
      const low = Number.isFinite(min) ? min : max - 100;
      const room = Number.isFinite(max) ? Math.max(1, Math.floor(max - low) + 1) : 1_000_000;
      const fraction = Number.isFinite(max) && max - low < 1 ? (low + max) / 2 : null;
      return [(n) => number(String(fraction ?? Math.floor(low) + (n % room)))];
    }
    case "length": {
      const all = use.hints.filter((one) => one.kind === "length");
      const min = Math.max(...all.map((one) => one.min ?? 0));
      const max = Math.min(...all.map((one) => one.max ?? Infinity), type.length ?? Infinity);
      if (min <= 8 && max >= 40) return [];
      return [(n) => text(String(n).padStart(Math.min(Math.max(min, 2), max), "x").slice(-max))];
    }
    case "element":
      return type.element === null ? [() => text("[1]")] : [(n) => elements(type, n)];
  }
}

function elements(type: TypeInfo, n: number): Value {
  const inner = isNumeric(type.element ?? "")
    ? String(n)
    : type.element === "uuid"
    ? uuid("element", n)
    : `bulkhead-${n}`;
  return text(`{${inner}}`);
}

function isNumeric(base: string): boolean {
  return /^(smallint|integer|bigint|numeric|real|double precision|money)$/.test(base);
}

/** A uuid that says which row it is: the table in front, the number at the end. */
export function uuid(table: string, n: number): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(table)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return `${hash.toString(16).padStart(8, "0")}-0000-4000-8000-${pad(n, 12)}`;
}

/** Candidates by type alone. */
function byType(name: string, type: TypeInfo, use: Use): Candidate[] {
  const { base } = type;
  const later = use.position;
  if (type.kind === "e") {
    const { labels } = type;
    return use.key
      ? [(n) => text(labels[n % labels.length] ?? "")]
      : labels.slice(0, 8).map((label) => () => text(label));
  }
  if (type.kind === "r") return [range(base)];
  if (type.kind === "m") return [() => text("{}")];
  if (type.element !== null) return [() => text("{}"), (n) => elements(type, n)];
  switch (base) {
    case "uuid":
      return [(n) => text(uuid(use.table, n)), (n) => text(uuid(`${use.table} ${name}`, n))];
    case "text":
    case "character varying":
    case "character":
    case "citext":
    case "name":
      return texts(name, type, use);
    case "smallint":
      return use.key
        ? [(n) => number(String(32_000 + n)), (n) => number(String(31_000 + n))]
        : small();
    case "integer":
      return use.key
        ? [(n) => number(String(2_100_000_000 + n)), (n) => number(String(2_000_000_000 + n))]
        : small();
    case "bigint":
      return use.key
        ? [(n) => number(String(910_000_000_000 + n)), (n) => number(String(920_000_000_000 + n))]
        : small();
    case "numeric": {
      const digits = Math.min((type.precision ?? 12) - (type.scale ?? 0), 9);
      return use.key && digits > 3
        ? [(n) => number(`9${pad(n, digits - 1)}`)]
        : digits > 0
        ? small()
        : [() => number("0")];
    }
    case "real":
    case "double precision":
    case "money":
    case "oid":
      return small();
    case "boolean":
      return [() => ({ sql: "true", raw: "true" }), () => ({ sql: "false", raw: "false" })];
    case "date":
      return [(n) => text(day(n + later)), (n) => text(day(3_650 + n + later))];
    case "timestamp with time zone":
    case "timestamp without time zone":
      return [
        (n) => text(`${day(n + later)} 12:00:00`),
        (n) => text(`${day(3_650 + n + later)} 12:00:00`),
      ];
    case "time with time zone":
    case "time without time zone":
      return [(n) => text(`${pad((n + later) % 24, 2)}:00:00`)];
    case "interval":
      return [(n) => text(`${n} hours`)];
    case "jsonb":
    case "json":
      return ["{}", "[]", '"bulkhead"', "1", '[{"bulkhead": 1}]'].map((one) => () => text(one));
    case "bytea":
      return [(n) => text(`\\x${pad(n, 64)}`), (n) => text(`\\x${pad(n, 2)}`)];
    case "inet":
    case "cidr":
      return [(n) => text(`192.0.2.${n % 256}`)];
    case "macaddr":
      return [(n) => text(`02:00:00:00:00:${pad(n % 100, 2)}`)];
    case "bit":
    case "bit varying":
      return [(n) => text((n % 2 === 1 ? "1" : "0").repeat(type.length ?? 1))];
    case "tsvector":
      return [(n) => text(`bulkhead${n}`)];
    case "tsquery":
    case "ltree":
      return [(n) => text(`bulkhead${n}`)];
    case "hstore":
      return [() => text("")];
    case "xml":
      return [() => text("<bulkhead/>")];
    case "point":
      return [(n) => text(`(${n},${n})`)];
    case "vector":
    case "halfvec":
      return [
        (n) =>
          text(
            `[${Array.from({ length: type.length ?? 3 }, (_, at) => at === 0 ? n : 0).join(",")}]`,
          ),
      ];
    default:
      return [];
  }
}

/** Words that many checks ask for, tried in turn when the plain one is refused. */
function texts(name: string, type: TypeInfo, use: Use): Candidate[] {
  const bare = (use.table.split(".").at(-1) ?? "row").replaceAll('"', "").toLowerCase();
  const noun = bare.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").replace(/s$/, "") || "row";
  const mail: Candidate = (n) => text(`${noun}-${n}@example.com`);
  const link: Candidate = (n) => text(`https://example.com/${noun}-${n}`);
  const plain: Candidate[] = [
    (n) => text(`${noun}-${n}`),
    (n) => text(`${noun}${n}`),
    mail,
    link,
    (n) => text(`+4930${pad(n, 7)}`),
    (n) => text(String(n)),
    (n) => text(`BH${n}`),
    (n) => text(pad(n, 64)),
    (n) => text(day(n)),
    () => text("EUR"),
    () => text("en"),
    () => text("Europe/Berlin"),
    (n) => text(`#${pad(n, 6)}`),
  ];
  const first = /mail/i.test(name) ? mail : /ur[il]$|link|website/i.test(name) ? link : undefined;
  const limit = type.length;
  const fitting = (first ? [first, ...plain] : plain).filter((one) =>
    limit === null || (one(99).raw ?? "").length <= limit
  );
  return fitting.length > 0
    ? fitting
    : [(n) => text(String.fromCharCode(97 + n % 26).repeat(limit ?? 1))];
}

function small(): Candidate[] {
  return [
    (n) => number(String(n)),
    () => number("0"),
    (n) => number(`-${n}`),
    (n) => number(String(n * 100)),
  ];
}

function range(base: string): Candidate {
  if (base.startsWith("int") || base === "numrange") {
    return (n) => text(`[${n * 10},${n * 10 + 5})`);
  }
  return (n) => text(`[${day(n * 2)},${day(n * 2 + 1)})`);
}

/** The n-th day of 2026, and on into the years after. */
function day(n: number): string {
  return new Date(Date.UTC(2026, 0, 1 + n)).toISOString().slice(0, 10);
}
