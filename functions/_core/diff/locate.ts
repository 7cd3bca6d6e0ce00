import { bareName } from "./body-facts.ts";
import type { Diff, Entry, Location } from "./classify.ts";

/** One statement of a migration and where it starts. */
export type PlacedStatement = Location & { text: string };

/** Words that a statement about this kind of change holds. */
const ABOUT: Partial<Record<Entry["kind"], RegExp>> = {
  policy: /\bpolicy\b/i,
  trigger: /\btrigger\b/i,
  grant: /\b(grant|revoke)\b/i,
  "default privilege": /\bdefault\s+privileges\b/i,
  function: /\b(function|procedure|routine|aggregate)\b/i,
  constraint: /\b(constraint|references|unique|primary\s+key|check|exclude)\b/i,
  index: /\bindex\b/i,
  column: /\bcolumn\b|\bcreate\s+table\b|\balter\s+table\b/i,
  view: /\bview\b/i,
  "materialized view": /\bmaterialized\b/i,
  role: /\b(role|user)\b/i,
  membership: /\b(grant|revoke|role)\b/i,
  setting: /\bset\b|\breset\b/i,
  rule: /\brule\b/i,
  publication: /\bpublication\b/i,
  "publication member": /\bpublication\b/i,
  extension: /\bextension\b/i,
};
const FACET: Record<string, RegExp> = {
  rls: /row\s+level\s+security/i,
  forced: /row\s+level\s+security/i,
  owner: /\bowner\b/i,
  replicaIdentity: /replica\s+identity/i,
};

/** What the kit says of its own objects names tables of the project in passing. */
const KIT_OWN =
  /^\s*(create|alter|comment\s+on|insert\s+into|grant|revoke|drop)\b[^;']{0,120}\bbulkhead(_api)?\b/i;

/**
 * Say for each change which statement most likely made it: the last one that speaks of this kind of change and names
 * the object, else the last one that names it. A change that no statement names stays without a place.
 *
 * @example
 * const placed = locate(diff, statements);
 */
export function locate(diff: Diff, statements: readonly PlacedStatement[]): Diff {
  const words = statements.map(({ text }) =>
    new Set(withoutComments(text).toLowerCase().match(/[a-z0-9_$]+/g) ?? [])
  );
  const find = (test: (at: number) => boolean): Location | undefined => {
    for (let at = statements.length - 1; at >= 0; at--) {
      const found = statements[at];
      if (found && test(at)) return { file: found.file, line: found.line };
    }
    return undefined;
  };
  const place = (entry: Entry): Location | undefined => {
    if (entry.object === "bulkhead") return undefined;
    const ofKit = /\bbulkhead(_api)?\./.test(entry.object);
    const { own, table } = namesIn(entry);
    const names = (at: number, all: readonly string[]) =>
      all.length > 0 && all.every((one) => (words[at] ?? new Set()).has(one));
    const about = FACET[entry.facet] ?? ABOUT[entry.kind];
    const speaks = (at: number) => about === undefined || about.test(statements[at]?.text ?? "");
    const may = (at: number) => {
      const text = statements[at]?.text ?? "";
      if (!ofKit && KIT_OWN.test(text)) return false;
      return entry.op !== "removed" || !/^\s*(create|comment|insert|grant)\b/i.test(text);
    };
    const where = table.length > 0 ? table : own;
    // What names neither is often made by a call: bulkhead.protect('public.notes').
    const calls = (at: number) => /^\s*(select|do|call)\b/i.test(statements[at]?.text ?? "");
    const exact = table.length > 0
      ? find((at) => may(at) && speaks(at) && names(at, [...own, ...table]))
      : undefined;
    return exact ?? find((at) => may(at) && (speaks(at) || calls(at)) && names(at, where)) ??
      find((at) => may(at) && names(at, where));
  };
  return {
    ...diff,
    entries: diff.entries.map((entry) => {
      const location = place(entry);
      return location ? { ...entry, location } : entry;
    }),
  };
}

/** The object's own words, and those of the table that it is on. */
function namesIn(entry: Entry): { own: string[]; table: string[] } {
  const split = (id: string) =>
    (id.match(/"(?:[^"]|"")*"|[^."]+/g) ?? []).map((one) => bareName(one).toLowerCase());
  const tokens = (text: string) => text.toLowerCase().match(/[a-z0-9_$]+/g) ?? [];
  const last = (parts: string[]) => tokens(parts.at(-1) ?? "");
  switch (entry.kind) {
    case "policy":
    case "trigger":
    case "rule":
    case "column":
    case "constraint":
    case "index": {
      // schema.table.name; a policy's name may hold anything, dots too
      const [, table = "", ...rest] = split(entry.object);
      return { own: tokens(rest.join(" ")), table: tokens(table) };
    }
    case "grant": {
      const [, kind = "", id = "", role = ""] =
        /^(schema|table|view|materialized view|foreign table|sequence|column|function|database)(?: (.*))? to (\S+)$/
          .exec(entry.object) ?? [];
      const parts = split(id.replace(/\(.*$/, ""));
      const object = kind === "column" ? tokens(parts.at(-2) ?? "") : last(parts);
      return { own: tokens(role), table: object };
    }
    case "function":
      return { own: last(split(entry.object.replace(/\(.*$/, ""))), table: [] };
    case "membership":
    case "publication member": {
      const [member = "", into = ""] = entry.object.split(" in ");
      return { own: last(split(member)), table: last(split(into)) };
    }
    case "setting": {
      const [name = "", of = ""] = entry.object.split(" of ");
      return { own: tokens(name), table: tokens(of.replace(/^(role|database)\s*/, "")) };
    }
    case "default privilege":
      return { own: tokens(entry.object.split(" to ").at(-1) ?? ""), table: [] };
    default:
      return { own: last(split(entry.object)), table: [] };
  }
}

function withoutComments(text: string): string {
  return text.replace(/--[^\n]*/g, " ").replace(/\/\*[\s\S]*?\*\//g, " ");
}
