import { ident, literal } from "../adopt/names.ts";
import { type Actor, contextSettings, isBackEnd, type Session } from "./actors.ts";
import { type Attempt, type Cell, insertSql, type TablePlan } from "./plan.ts";
import { type Choices, type Row } from "./row.ts";
import { SLOTS } from "./slots.ts";
import type { TableResult } from "./verdict.ts";
import type { World } from "./world.ts";

/** A test file: what it is called and what stands below its first line. */
export type TestFile = {
  path: string;
  table: string;
  body: string;
  tests: number;
  problem: string | null;
};

/** What every file needs; pgTAP itself knows neither roles nor claims. */
const HELPERS =
  `-- What is tried, by name. A statement that reaches a row must leave the row that proof finds.
create temp table attempts (name text primary key, statement text not null, proof text);

-- Who tries it from now on: a database role, and what the request or the transaction says about it.
create function pg_temp.act_as(who text, role text, settings jsonb default '{}')
returns void
language sql
as $$
    select
        set_config('test.who', who, true),
        set_config('test.role', role, true),
        set_config('test.settings', settings::text, true)
$$;

-- Tries it as that role and takes it back: 'done', 'no row', 'refused: why', or an error that is no answer.
create function pg_temp.outcome(attempt text)
returns text
language plpgsql
as $$
declare
    v_attempt record;
    v_rows bigint;
    v_acting boolean := false;
begin
    select * into strict v_attempt from attempts where name = attempt;
    perform set_config(key, value, true) from jsonb_each_text(current_setting('test.settings')::jsonb);
    perform set_config('role', current_setting('test.role'), true);
    v_acting := true;
    execute v_attempt.statement;
    get diagnostics v_rows = row_count;
    if v_rows > 0 and v_attempt.proof is not null then
        perform set_config('role', 'none', true);
        execute format('select count(*) from (%s) as found', v_attempt.proof) into v_rows;
    end if;
    -- truncate counts no rows
    raise exception using
        errcode = 'TTEST',
        message = case when v_rows > 0 or v_attempt.statement ~* '^truncate' then 'done' else 'no row' end;
exception
    when sqlstate 'TTEST' then
        return sqlerrm;
    when others then
        -- a privilege, a guard, a policy, a key, a trigger; anything else says nothing about the boundary
        return case
            when v_acting and sqlstate ~ '^(42501|0A000|22...|23...|P0001|BH...)$' then format('refused: %s', sqlerrm)
            else format('error %s: %s', sqlstate, sqlerrm)
        end;
end
$$;

create function pg_temp.may(variadic attempts text[])
returns setof text
language sql
as $$
    select is(pg_temp.outcome(a), 'done', format('%s may %s', current_setting('test.who'), a))
    from unnest(attempts) as a
$$;

create function pg_temp.may_not(variadic attempts text[])
returns setof text
language sql
as $$
    select matches(pg_temp.outcome(a), '^(no row$|refused: )', format('%s may not %s', current_setting('test.who'), a))
    from unnest(attempts) as a
$$;
`;

/**
 * The pgTAP file of one table: its rows, what is tried, then a section for each role. What the schema gives a role on
 * its own tenant's rows today is asserted as it is; another tenant's rows must stay out of reach whatever is true today.
 *
 * @example
 * const { path, body } = renderTest(world, choices, plan, result);
 */
export function renderTest(
  world: World,
  choices: Choices,
  plan: TablePlan,
  result: TableResult,
): TestFile {
  const names = nameAttempts(plan);
  const sections: string[] = [];
  let tests = 0;
  for (const { actor, cells } of byActor(world, plan)) {
    const lines: string[] = [];
    for (const { who, act, entries } of byVoice(world, actor, cells)) {
      const may: string[] = [];
      const mayNot: string[] = [];
      for (const { cell, attempt } of entries) {
        const today = result.cells.find((one) =>
          one.actor === actor.name && one.verb === cell.verb && one.target === cell.target
        );
        const opens = cell.target === "own"
          ? today?.result === "allowed"
          : today?.result === "bypass";
        const list = opens ? may : mayNot;
        const name = names.get(keyOf(attempt)) ?? "";
        if (!list.includes(name)) list.push(name);
      }
      tests += may.length + mayNot.length;
      lines.push(
        `select pg_temp.act_as(${literal(who)}, ${act});`,
        ...(may.length > 0 ? [call("may", may)] : []),
        ...(mayNot.length > 0 ? [call("may_not", mayNot)] : []),
        "",
      );
    }
    if (lines.length > 0) sections.push(`${heading(actor.title)}\n${lines.join("\n")}`);
  }
  const direct = world.direct.filter((role) => plan.cells.some((cell) => cell.actor.role === role));
  const parts = [
    "begin;\n",
    "-- pgTAP is in one of these.\nset local search_path = extensions, public;\n",
    HELPERS,
    ...(direct.length > 0
      ? [direct.map((role) => `grant ${ident(role)} to current_user;\n`).join("")]
      : []),
    `select plan(${tests});\n`,
    `${
      heading(
        `Tenants ${SLOTS.a.n} and ${SLOTS.b.n}, whose ids begin alike: people, and a row of each`,
      )
    }\n${seeds(world, choices, plan.rows)}`,
    `${heading("What is tried")}\n${attemptRows(plan, names)}`,
    ...sections,
    "select * from finish();\nrollback;\n",
  ];
  return {
    path: pathOf(plan.table),
    table: plan.table.id,
    body: header(plan.table.id) + parts.join("\n"),
    tests,
    problem: null,
  };
}

function keyOf(attempt: Attempt): string {
  return `${attempt.statement}\n${attempt.verify}`;
}

/** A name for each statement; where two roles may name different columns, the role tells them apart. */
function nameAttempts(plan: TablePlan): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const attempt of plan.cells.flatMap((cell) => cell.attempts)) {
    const key = keyOf(attempt);
    if (names.has(key)) continue;
    let name = attempt.label;
    if (taken.has(name)) name = `${attempt.label} (${attempt.session.role})`;
    for (let at = 2; taken.has(name); at++) name = `${attempt.label} (${at})`;
    taken.add(name);
    names.set(key, name);
  }
  return names;
}

function attemptRows(plan: TablePlan, names: ReadonlyMap<string, string>): string {
  const byName = new Map<string, Attempt>();
  for (const attempt of plan.cells.flatMap((cell) => cell.attempts)) {
    byName.set(names.get(keyOf(attempt)) ?? "", attempt);
  }
  const order = ["read", "add", "change", "delete", "move", "empty"];
  const rank = (name: string) => order.indexOf(name.split(" ")[0] ?? "");
  const rows = [...byName].sort(([a], [b]) => rank(a) - rank(b)).map(([name, attempt]) => {
    const proof = attempt.verify === null ? "null" : `\n        ${quoted(attempt.verify)}`;
    return `    (${literal(name)},\n        ${quoted(attempt.statement)},${
      attempt.verify === null ? " " : ""
    }${proof})`;
  });
  return `insert into attempts\nvalues\n${rows.join(",\n")};\n`;
}

function quoted(sql: string): string {
  const flat = sql.replace(/\s*\n\s*/g, " ");
  const tag = flat.includes("$$") ? "$sql$" : "$$";
  return `${tag}${flat}${tag}`;
}

/** Names in one call, wrapped where a line would be too long to read. */
function call(name: string, attempts: readonly string[]): string {
  const list = attempts.map((one) => literal(one));
  const line = `select pg_temp.${name}(${list.join(", ")});`;
  return line.length <= 120 ? line : `select pg_temp.${name}(\n    ${list.join(",\n    ")}\n);`;
}

/** The file of a table for which no row could be made: one test, which fails and says why. */
export function renderUnknown(
  table: { id: string; schema: string; name: string },
  problem: string,
): TestFile {
  const body = [
    header(table.id),
    "begin;\n\nset local search_path = extensions, public;\n\nselect plan(1);\n\n",
    "-- Nothing is known about this table until somebody says how a row of it looks.\n",
    `select fail(${literal(problem.replace(/\s+/g, " "))});\n\n`,
    "select * from finish();\nrollback;\n",
  ].join("");
  return { path: pathOf(table), table: table.id, body, tests: 1, problem };
}

function header(table: string): string {
  return `-- ${table}: what each role may do with the rows of its own tenant and of another.
-- Written again by: bulkhead tests generate --table ${shell(table)}
-- Edit it as you like: a file that was changed by hand is left alone, until --force.

`;
}

function shell(text: string): string {
  return /^[\w.]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `messages.test.sql`; schemas other than public come first in the name. */
export function pathOf(table: { schema: string; name: string; id: string }): string {
  const plain = (text: string) =>
    text.toLowerCase().replace(/[^a-z0-9_]+/g, "-").replace(/^-+|-+$/g, "");
  const base = table.schema === "public"
    ? plain(table.name)
    : `${plain(table.schema)}.${plain(table.name)}`;
  return `${base === "" || base.endsWith(".") ? `${base}table` : base}.test.sql`;
}

function heading(title: string): string {
  return `-- ${title} ${"-".repeat(Math.max(3, 96 - title.length))}\n`;
}

/** Roles that name no tenant come first: a setting that was never set is another thing than an empty one. */
function byActor(world: World, plan: TablePlan): { actor: Actor; cells: Cell[] }[] {
  const actors = [...new Set(plan.cells.map((cell) => cell.actor))].filter((one) =>
    one.problem === null
  );
  const fresh = (actor: Actor) =>
    !actor.inside && isBackEnd(world, actor) && contextSettings(world).length > 0;
  return [...actors.filter(fresh), ...actors.filter((one) => !fresh(one))]
    .map((actor) => ({ actor, cells: plan.cells.filter((cell) => cell.actor === actor) }));
}

/** One way to speak as an actor: for one tenant or the other, honestly or not. */
type Voice = { who: string; act: string; entries: { cell: Cell; attempt: Attempt }[] };

/** Attempts by whoever says them, so that a section reads as one story. */
function byVoice(world: World, actor: Actor, cells: readonly Cell[]): Voice[] {
  const voices = new Map<string, Voice & { rank: number }>();
  for (const cell of cells) {
    for (const attempt of cell.attempts) {
      const act = actAs(attempt.session);
      const voice = voices.get(act) ?? {
        who: whoIs(world, actor, attempt),
        act,
        entries: [],
        rank: attempt.fresh ? 0 : attempt.forged ? 2 : 1,
      };
      voice.entries.push({ cell, attempt });
      voices.set(act, voice);
    }
  }
  return [...voices.values()].sort((a, b) => a.rank - b.rank);
}

function whoIs(world: World, actor: Actor, attempt: Attempt): string {
  const side = attempt.side === "a" ? SLOTS.a.n : SLOTS.b.n;
  const tenant = actor.inside ? ` of ${side}` : "";
  const title = actor.inside && actor.role !== "authenticated"
    ? `${actor.role} for ${side}`
    : `${actor.title}${tenant}`;
  const empty = !actor.inside && !attempt.fresh && isBackEnd(world, actor) &&
    contextSettings(world).length > 0;
  return title +
    (attempt.forged
      ? ", with a forged header" + (actor.role === "anon" ? "" : " and user_metadata")
      : "") +
    (empty ? " (empty)" : "");
}

function actAs(session: Session): string {
  const entries = Object.entries(session.settings);
  if (entries.length === 0) return literal(session.role);
  const settings = Object.fromEntries(
    entries.map(([name, value]) => [name, value.startsWith("{") ? JSON.parse(value) : value]),
  );
  const text = JSON.stringify(settings, null, 1).replace(/\n\s*/g, " ").replace(/\{ /g, "{")
    .replace(/ \}/g, "}");
  return `${literal(session.role)},\n    ${literal(text)}`;
}

function seeds(world: World, choices: Choices, rows: readonly Row[]): string {
  const statements: string[] = [];
  let group: Row[] = [];
  const flush = () => {
    const [first] = group;
    if (first) {
      const conflict = choices.included.has(`${first.table.id} on conflict`)
        ? "\non conflict do nothing"
        : "";
      statements.push(`${insertSql(group, [...first.values.keys()])}${conflict};\n`);
    }
    group = [];
  };
  for (const row of rows) {
    const [first] = group;
    const same = first?.table === row.table &&
      [...first.values.keys()].join() === [...row.values.keys()].join();
    if (!same) flush();
    group.push(row);
  }
  flush();
  const deferred = rows.some((row) =>
    world.tables.get(row.table.id)?.constraints.some((one) => one.type === "f" && one.deferrable)
  );
  return (deferred ? "set constraints all deferred;\n" : "") + statements.join("") +
    (deferred ? "set constraints all immediate;\n" : "");
}
