import type { Table } from "./catalog.ts";
import { type Classification, foreignKeys, isTenanted, keyOf } from "./classify.ts";
import type { WantedKey } from "./keys.ts";
import { ident, idents, literal, textArray } from "./names.ts";
import { matches, wrongRows } from "./rows.ts";
import { checkName, isOpen, rowKey } from "./steps-columns.ts";
import { indent, locked, type Step, step } from "./steps.ts";

/** Phase 0: where rows without a single answer wait, and which rows were filled. Both stay until somebody drops them. */
export function prepareStep(): Step {
  return step({
    phase: 0,
    slug: "prepare",
    title: "the tables of the quarantine; the kit's own migrations must be there already",
    lock: "none on your tables",
    up: [
      `do $bulkhead$
begin
    if to_regprocedure('bulkhead.protect(regclass, name, jsonb)') is null then
        raise exception using
            errcode = 'BH001',
            message = 'Cannot adopt: Bulkhead''s own migrations are not applied here; apply them first, then this file again';
    end if;
end
$bulkhead$`,
      `create table if not exists bulkhead.adopt_quarantine (
    id bigint generated always as identity primary key,
    relation text not null,
    row_key jsonb not null,
    reason text not null,
    -- Each column's text, so that nothing is lost on the way through jsonb.
    content jsonb not null,
    assigned_tenant text,
    changes jsonb not null default '{}',
    quarantined_at timestamptz not null default now(),
    quarantined_by name not null default session_user,
    restored_at timestamptz,
    restored_by name
)`,
      `comment on table bulkhead.adopt_quarantine is 'Rows that had no single tenant, moved aside whole with the reason; bulkhead recover brings them home'`,
      `alter table bulkhead.adopt_quarantine enable row level security`,
      `revoke all on bulkhead.adopt_quarantine from public, anon, authenticated, service_role`,
      `create table if not exists bulkhead.adopt_filled (
    relation text not null,
    row_key jsonb not null,
    filled_at timestamptz not null default now(),
    primary key (relation, row_key)
)`,
      `comment on table bulkhead.adopt_filled is 'Rows whose tenant was null before adoption filled it in from their parents'`,
      `alter table bulkhead.adopt_filled enable row level security`,
      `revoke all on bulkhead.adopt_filled from public, anon, authenticated, service_role`,
    ],
    down: [
      `do $bulkhead$
begin
    -- What is still in quarantine is somebody's data.
    if to_regclass('bulkhead.adopt_quarantine') is not null
        and not exists (select from bulkhead.adopt_quarantine) then
        drop table bulkhead.adopt_quarantine, bulkhead.adopt_filled;
    end if;
end
$bulkhead$`,
    ],
  });
}

/** Tables whose rows can be quarantined: the tenants' own, and whoever refers to them, at any distance. */
function reachable(world: Classification): Table[] {
  const found = new Set(world.tables.filter(isTenanted).map((each) => each.table));
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const table of world.catalog.tables) {
      if (table.isPartition) continue;
      const parents = new Set([...found].map((each) => each.id));
      if (foreignKeys(table).some((key) => parents.has(key.parent ?? ""))) found.add(table);
    }
  }
  return [...found];
}

/** Columns that can be written again. One that adoption adds holds nothing in a row without an answer. */
function contentColumns(table: Table): { name: string; type: string }[] {
  const columns = table.columns.filter((column) => !column.generated);
  return columns.map(({ name, type }) => ({ name, type }));
}

/**
 * Phase 52: rows that no rule can place move into the quarantine, together with the rows that refer to them: no
 * cascade, no guess. One transaction; new wrong rows are impossible since phase 40.
 */
export function quarantineStep(world: Classification, keys: readonly WantedKey[]): Step {
  const tables = reachable(world);
  const probes = world.tables.filter(isTenanted).flatMap((each) => wrongRows(world, each, true));
  const marks = probes.map((wrong) =>
    `insert into bulkhead_wrong (part, at, relation, reason)
select c.tableoid, c.ctid, ${literal(wrong.table.table.id)}, ${wrong.reason}
from ${wrong.table.table.id} as c ${wrong.joins}
where ${wrong.where}
for update of c
on conflict do nothing;`
  );
  const ids = new Set(tables.map((table) => table.id));
  const spread = tables.flatMap((table) =>
    foreignKeys(table).filter((key) => ids.has(key.parent ?? "")).map((key) =>
      `insert into bulkhead_wrong (part, at, relation, reason)
select c.tableoid, c.ctid, ${literal(table.id)}, ${
        literal(`its row of ${key.parent} is in quarantine (${idents(key.columns)})`)
      }
from bulkhead_wrong as w
join ${key.parent} as p on p.tableoid = w.part and p.ctid = w.at
join ${table.id} as c on ${matches(key)}
where w.relation = ${literal(key.parent ?? "")}
for update of c
on conflict do nothing;
get diagnostics v_rows = row_count;
v_new := v_new + v_rows;`
    )
  );
  const copies = tables.map((table) => {
    const names = contentColumns(table).map((column) => column.name);
    return `insert into bulkhead.adopt_quarantine (relation, row_key, reason, content)
select w.relation, ${rowKey(keyOf(table) ?? names)}, w.reason, jsonb_object(${
      textArray(names)
    }, array[${names.map((name) => `c.${ident(name)}::text`).join(", ")}])
from bulkhead_wrong as w
join ${table.id} as c on c.tableoid = w.part and c.ctid = w.at
where w.relation = ${literal(table.id)};`;
  });
  const moves = tables.map((table, at) =>
    `moved_${at} as (
    delete from ${table.id} as c using bulkhead_wrong as w
    where c.tableoid = w.part and c.ctid = w.at and w.relation = ${literal(table.id)}
    returning 1
)`
  );
  const up = `do $bulkhead$
declare
    v_rows bigint;
    v_new bigint;
begin
${indent(quiet, 4)}
    create temporary table bulkhead_wrong (part oid, at tid, relation text, reason text, primary key (part, at)) on commit drop;
${indent(marks.join("\n"), 4)}
    -- Whoever refers to a row in quarantine goes with it: nothing may be left to cascade.
    loop
        v_new := 0;
        exit when not exists (select from bulkhead_wrong);
${indent(spread.join("\n"), 8)}
        exit when v_new = 0;
    end loop;
${indent(copies.join("\n"), 4)}
    -- One statement for all tables: its keys are checked when every row is gone, so circles are no obstacle.
    with ${indent(moves.join(",\n"), 4).trimStart()}
    select ${moves.map((_, at) => `(select count(*) from moved_${at})`).join(" + ")} into v_rows;
    if v_rows <> (select count(*) from bulkhead_wrong) then
        raise exception using
            errcode = '40001',
            message = 'Cannot quarantine: rows changed meanwhile; run this file again';
    end if;
    -- Deferred checks run now: later steps of the same transaction could not alter the tables otherwise.
    set constraints all immediate;
    if v_rows > 0 then
        perform bulkhead.log_change('quarantine', 'bulkhead.adopt_quarantine', null, jsonb_build_object('rows', v_rows));
    end if;
    drop table bulkhead_wrong;
end
$bulkhead$`;
  return step({
    phase: 52,
    slug: "quarantine",
    title:
      "rows without a single answer move to bulkhead.adopt_quarantine, with the rows that refer to them",
    lock:
      "RowExclusive on the tenants' tables and the wrong rows themselves; reads every table once, about 1 s for 1 M rows",
    up: [up],
    down: [...unblock(world, keys), putBack(tables)],
  });
}

const quiet = `begin
    -- Triggers of the application that send mail or count have nothing to do with this, where the role may say so.
    perform pg_catalog.set_config('session_replication_role', 'replica', true);
exception when insufficient_privilege then
    null;
end;
perform pg_catalog.set_config('datestyle', 'ISO, YMD', true), pg_catalog.set_config('intervalstyle', 'postgres', true),
    pg_catalog.set_config('timezone', 'UTC', true), pg_catalog.set_config('extra_float_digits', '1', true),
    pg_catalog.set_config('bytea_output', 'hex', true);`;

/** Down of a run that stopped half-way: its own new checks must not refuse the old rows. */
function unblock(world: Classification, keys: readonly WantedKey[]): string[] {
  return world.tables.filter(isTenanted).flatMap((each) => {
    const names = [
      ...(isOpen(each) ? [checkName(each)] : []),
      ...keys.filter((key) => key.child === each && key.temporary !== key.replaces?.name).map((
        key,
      ) => key.temporary),
    ];
    if (names.length === 0 || each.table.partitioned) return [];
    return [locked([
      `alter table ${each.table.id} ${
        names.map((name) => `drop constraint if exists ${ident(name)}`).join(", ")
      }`,
    ])];
  });
}

/** Down: every row that is still in quarantine goes back as it was, in one statement. */
function putBack(tables: readonly Table[]): string {
  const parts = tables.map((table, at) => {
    const columns = contentColumns(table);
    return `back_${at} as (
    insert into ${table.id} (${idents(columns.map((column) => column.name))})
    overriding system value
    select ${
      columns.map((column) => `(t.content ->> ${literal(column.name)})::${column.type}`).join(", ")
    }
    from taken as t
    where t.relation = ${literal(table.id)}
    returning 1
)`;
  });
  return `do $bulkhead$
declare
    v_rows bigint;
begin
${indent(quiet, 4)}
    with taken as (
        delete from bulkhead.adopt_quarantine as q where q.restored_at is null returning q.relation, q.content
    ), ${indent(parts.join(",\n"), 4).trimStart()}
    select ${parts.map((_, at) => `(select count(*) from back_${at})`).join(" + ")} into v_rows;
    if v_rows > 0 then
        perform bulkhead.log_change('quarantine_undo', 'bulkhead.adopt_quarantine', null, jsonb_build_object('rows', v_rows));
    end if;
end
$bulkhead$`;
}
