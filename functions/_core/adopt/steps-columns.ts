import { type Classification, type Classified, keyOf } from "./classify.ts";
import { columnIs, constraintExists } from "./conditions.ts";
import { ident, literal, shortName, textArray } from "./names.ts";
import { answersOf } from "./rows.ts";
import { dollarTag, locked, type Step, step } from "./steps.ts";

/** What the target of the files can do. */
export type Abilities = {
  /** Files may leave transactions: false for Drizzle, whose migrator runs all of them in one. */
  commits: boolean;
};

/** The check that stands in until the column is NOT NULL. */
export function checkName(each: Classified): string {
  return shortName(each.table.name, "_tenant_not_null");
}

/** Whether the tenant column is, or will be, added or still lets nulls in. */
export function isOpen(each: Classified): boolean {
  if (each.kind !== "tenant" && each.kind !== "through") return false;
  const column = each.table.columns.find((one) => one.name === each.column);
  return column === undefined || !column.notNull;
}

/** Phase 10: the column, nullable and without default, so that no row is touched. */
export function columnSteps(world: Classification, each: Classified): Step[] {
  if (!isOpen(each) || each.hasColumn) return [];
  const column = ident(each.column);
  return [step({
    phase: 10,
    slug: `add_${each.column}_to_${each.table.name}`,
    title: `${each.table.id} gets the column ${column}, nullable: its tenant is at ${each.path}`,
    lock: `AccessExclusive on ${each.table.id}, about 1 ms whatever its size`,
    up: [
      locked([
        `alter table ${each.table.id} add column if not exists ${column} ${world.tenantType}`,
      ]),
    ],
    down: [locked([`alter table ${each.table.id} drop column if exists ${column}`])],
  })];
}

/** Phases 20 and 50: rows that have exactly one answer get it, batch by batch. */
export function fillSteps(
  world: Classification,
  each: Classified,
  abilities: Abilities,
  phase: 20 | 50,
): Step[] {
  if (!isOpen(each) || each.through.length === 0) return [];
  const { table } = each;
  const record = each.hasColumn;
  const down = phase === 20 && record ? [emptyAgain(each)] : [];
  return [step({
    phase,
    slug: `fill_${table.name}${phase === 50 ? "_again" : ""}`,
    title: phase === 20
      ? `${table.id}: rows whose parents say one tenant get it; no other row is touched`
      : `${table.id}: rows that were written since the first pass`,
    lock:
      `RowExclusive on ${table.id} and the rows of one batch (${world.config.batch_pages} pages of 8 kB); about 10 s for 1 M rows in all`,
    alone: abilities.commits,
    up: [fill(world, each, abilities)],
    down,
  })];
}

function fill(world: Classification, each: Classified, abilities: Abilities): string {
  const { table } = each;
  const column = ident(each.column);
  const key = keyOf(table) ?? [];
  // The text goes through format().
  const list = answersOf(world, each, true).list.map((one) => one.replaceAll("%", "%%"));
  const sql = dollarTag(`${list} ${column} ${key}`, "sql");
  const again = each.through.some((one) => one.parent === table.id);
  const record = each.hasColumn
    ? `
                    returning ${rowKey(key)} as row_key
                )
                insert into bulkhead.adopt_filled (relation, row_key)
                select ${literal(table.id)}, f.row_key from filled as f
                on conflict do nothing`
    : `
                    returning 1
                )
                select count(*) from filled`;
  return `do $bulkhead$
declare
    v_part regclass;
    v_page bigint;
    v_filled bigint;
    v_round bigint;
begin
    loop
        v_round := 0;
        for v_part in select ${leaves(table.id)} loop
            v_page := 0;
            while v_page <= pg_catalog.pg_relation_size(v_part) / current_setting('block_size')::bigint loop
                for attempt in 1..20 loop
                    begin
                        -- The application's own triggers have nothing to do with this, where the role may say so.
                        begin
                            perform pg_catalog.set_config('session_replication_role', 'replica', true);
                        exception when insufficient_privilege then
                            null;
                        end;
                        execute format(${sql}
                with answers as (
                    select c.ctid as at, c.tableoid as part, array(
                        select distinct a.answer
                        from unnest(array[${
    list.join(",\n                            ")
  }]) as a (answer)
                        where a.answer is not null
                    ) as found
                    from %1$s as c
                    where c.${column} is null and c.ctid >= %2$L::tid and c.ctid < %3$L::tid
                ), filled as (
                    update %1$s as c set ${column} = answers.found[1]
                    from answers
                    where c.ctid = answers.at and c.tableoid = answers.part
                        and cardinality(answers.found) = 1 and c.${column} is null${record}
                        ${sql}, v_part, '(' || v_page || ',0)', '(' || v_page + ${world.config.batch_pages} || ',0)')${
    each.hasColumn ? "" : " into v_filled"
  };${each.hasColumn ? "\n                        get diagnostics v_filled = row_count;" : ""}
                        v_round := v_round + v_filled;
                        exit;
                    exception when lock_not_available or deadlock_detected then
                        if attempt = 20 then
                            raise;
                        end if;
                        perform pg_catalog.pg_sleep(0.1 * attempt);
                    end;
                end loop;
${
    abilities.commits
      ? "                commit;\n"
      : ""
  }                v_page := v_page + ${world.config.batch_pages};
            end loop;
        end loop;
        -- ${
    again ? "A row's own parent may have got its answer only now." : "One pass sees every row."
  }
        exit when ${again ? "v_round = 0" : "true"};
    end loop;
end
$bulkhead$`;
}

/** Down: the rows that were filled are empty again. */
function emptyAgain(each: Classified): string {
  const key = keyOf(each.table) ?? [];
  return `do $bulkhead$
begin
    begin
        perform pg_catalog.set_config('session_replication_role', 'replica', true);
    exception when insufficient_privilege then
        null;
    end;
    with emptied as (
        delete from bulkhead.adopt_filled as f where f.relation = ${
    literal(each.table.id)
  } returning f.row_key
    )
    update ${each.table.id} as c set ${ident(each.column)} = null
    from emptied as f
    where f.row_key = ${rowKey(key)};
end
$bulkhead$`;
}

/** The primary key of the row \`c\` as jsonb, each part as text. */
export function rowKey(key: readonly string[], alias = "c"): string {
  return `jsonb_object(${textArray(key)}, array[${
    key.map((column) => `${alias}.${ident(column)}::text`).join(", ")
  }])`;
}

/** The table itself, or every partition that holds rows. */
export function leaves(table: string): string {
  return `l.relid from (
            select c.oid::regclass as relid from pg_catalog.pg_class as c where c.oid = ${
    literal(table)
  }::regclass and c.relkind = 'r'
            union
            select t.relid from pg_catalog.pg_partition_tree(${
    literal(table)
  }) as t where t.isleaf and t.parentrelid is not null
        ) as l`;
}

/** Phase 40: no new row without a tenant; phase 60: NOT NULL through the validated check. */
export function notNullSteps(each: Classified): Step[] {
  const { table } = each;
  const column = ident(each.column);
  const steps: Step[] = [];
  const present = table.columns.find((one) => one.name === each.column);
  if (present?.default && each.kind !== "tenants") {
    steps.push(step({
      phase: 40,
      slug: `drop_default_${table.name}`,
      title:
        `${table.id}.${column} loses its default: a forgotten tenant must fail, not land somewhere`,
      lock: `AccessExclusive on ${table.id}, < 1 ms`,
      up: [locked([`alter table ${table.id} alter column ${column} drop default`])],
      down: [
        locked([`alter table ${table.id} alter column ${column} set default ${present.default}`]),
      ],
    }));
  }
  if (!isOpen(each)) return steps;
  const name = checkName(each);
  const nullable = `not ${columnIs(table.id, each.column, "attnotnull")}`;
  steps.push(
    step({
      phase: 40,
      slug: `require_${each.column}_${table.name}`,
      title: `${table.id}: no new row without ${column}; the old ones are not read yet`,
      lock: `AccessExclusive on ${table.id}, about 1 ms`,
      up: [locked(
        [`alter table ${table.id} add constraint ${
          ident(name)
        } check (${column} is not null) not valid`],
        `${nullable} and not ${constraintExists(table.id, name)}`,
      )],
      down: [locked([`alter table ${table.id} drop constraint if exists ${ident(name)}`])],
    }),
    step({
      phase: 60,
      slug: `validate_${each.column}_${table.name}`,
      title: `${table.id}: every row has ${column}`,
      lock: `ShareUpdateExclusive on ${table.id}, about 50 ms for 1 M rows; reads and writes go on`,
      up: [locked(
        [`alter table ${table.id} validate constraint ${ident(name)}`],
        constraintExists(table.id, name),
      )],
    }),
    step({
      phase: 61,
      slug: `not_null_${table.name}`,
      title: `${table.id}.${column} becomes NOT NULL, which the check has proved already`,
      lock: `AccessExclusive on ${table.id}, < 1 ms`,
      up: [locked([
        `alter table ${table.id} alter column ${column} set not null`,
        `alter table ${table.id} drop constraint if exists ${ident(name)}`,
      ])],
      down: [locked([`alter table ${table.id} alter column ${column} drop not null`])],
    }),
  );
  return steps;
}
