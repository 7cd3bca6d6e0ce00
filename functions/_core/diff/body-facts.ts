/**
 * What the source of a function does that matters to the boundary, in tags; the source itself is in no snapshot.
 * Text, not meaning: what it finds is there, what it does not find may be.
 *
 * @example
 * bodyFacts("begin new.tenant_id := x; return new; end"); // ["sets tenant_id"]
 */
export function bodyFacts(source: string): string[] {
  const body = plain(source);
  const found = new Set<string>();
  for (const pattern of ASSIGNMENTS) {
    for (const [, column] of body.matchAll(pattern)) if (column) found.add(`sets ${column}`);
  }
  for (const [tag, pattern] of TAGS) if (pattern.test(body)) found.add(tag);
  return [...found].sort();
}

const ASSIGNMENTS = [
  /\bnew\s*\.\s*"?([a-z_][a-z0-9_$]*)"?\s*:=/g,
  /(?:^|;|\bbegin|\bthen|\belse|\bloop)\s*new\s*\.\s*"?([a-z_][a-z0-9_$]*)"?\s*=[^=]/g,
  /\binto\s+(?:strict\s+)?(?:[a-z_.]+\s*,\s*)*new\s*\.\s*"?([a-z_][a-z0-9_$]*)\b/g,
];

const TAGS: readonly [string, RegExp][] = [
  [
    "replaces the row",
    /\bnew\s*:?=[^=]|\binto\s+(strict\s+)?new\s*(;|from\b|using\b)|populate_record|#=/,
  ],
  ["returns null", /\breturn\s+null\b/],
  ["returns old", /\breturn\s+old\b/],
  [
    "returns another row",
    /\breturn\s+(?!new\b|old\b|null\b|query\b|next\b|;|case\b|coalesce\b)[a-z]/,
  ],
  ["builds SQL", /\bexecute\b(?!\s+(function|procedure|on)\b)/],
  [
    "changes the context",
    /set_config\s*\(|\bset\s+(local\s+|session\s+)?(role|session|row_security|"?bulkhead|"?request)\b|session_replication_role/,
  ],
  [
    "asks who calls",
    /bulkhead\.(current_tenant|member_tenants)|auth\.(uid|jwt|email)\b|request\.jwt/,
  ],
  ["reads logins", /\bauth\s*\.\s*"?(users|identities|sessions|refresh_tokens|mfa_\w+)\b/],
  ["reads user_metadata", /\b(raw_)?user_meta_?data\b/],
];

/** The tables and views of `relations` whose names stand in the source. */
export function mentions(source: string, relations: readonly string[]): string[] {
  const words = new Set(plain(source).match(/[a-z0-9_$]+/g) ?? []);
  return relations.filter((id) => words.has(bareName(id).toLowerCase()));
}

/** `public."My table"` without its schema and its quotes. */
export function bareName(id: string): string {
  const [, last = id] = /(?:^|\.)("(?:[^"]|"")*"|[^."]+)$/.exec(id) ?? [];
  return last.startsWith('"') ? last.slice(1, -1).replaceAll('""', '"') : last;
}

/** The schema of a qualified name, as it is written there. */
export function schemaOf(id: string): string {
  return /^("(?:[^"]|"")*"|[^."]+)\./.exec(id)?.[1] ?? "";
}

function plain(source: string): string {
  return source.replace(/--[^\n]*/g, " ").replace(/\/\*[\s\S]*?\*\//g, " ").toLowerCase();
}
