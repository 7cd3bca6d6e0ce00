/** Keywords that quote_ident() quotes: reserved ones, and those that cannot be a column's or a function's name. */
const KEYWORDS = new Set(
  ("all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char " +
    "character check coalesce collate collation column concurrently constraint create cross current_catalog current_date " +
    "current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct " +
    "do else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having " +
    "ilike in initially inner inout int integer intersect interval into is isnull join json json_array json_arrayagg " +
    "json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading " +
    "least left like limit localtime localtimestamp merge_action national natural nchar none normalize not notnull null " +
    "nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real references " +
    "returning right row select session_user setof similar smallint some substring symmetric system_user table tablesample " +
    "then time timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where " +
    "window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable")
    .split(" "),
);

/**
 * An identifier as `quote_ident()` writes it.
 *
 * @example
 * ident("Order"); // '"Order"'
 */
export function ident(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) && !KEYWORDS.has(name)
    ? name
    : `"${name.replaceAll('"', '""')}"`;
}

/** A list of identifiers. */
export function idents(names: readonly string[], alias?: string): string {
  return names.map((name) => alias ? `${alias}.${ident(name)}` : ident(name)).join(", ");
}

/** A text literal, whatever `standard_conforming_strings` says. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? `E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

/** A `text[]` literal. */
export function textArray(values: readonly string[]): string {
  return `array[${values.map(literal).join(", ")}]::text[]`;
}

const encoder = new TextEncoder();

/**
 * A name of at most 63 bytes: a long base is cut and told apart by a hash of the whole.
 *
 * @example
 * shortName("messages_tenant_id_id", "_key"); // "messages_tenant_id_id_key"
 */
export function shortName(base: string, suffix: string): string {
  const whole = base + suffix;
  if (encoder.encode(whole).length <= 63) return whole;
  let cut = base;
  while (encoder.encode(cut).length > 50 - suffix.length) cut = cut.slice(0, -1);
  return `${cut}_${hash(base)}${suffix}`;
}

/** FNV-1a in hex: tells names apart, protects nothing. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (const byte of encoder.encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value.toString(16).padStart(8, "0");
}

/** A piece of a file name: letters, digits and underscores. */
export function slug(text: string): string {
  const plain = text.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  return plain.length <= 60 ? plain : `${plain.slice(0, 50)}_${hash(text)}`;
}
