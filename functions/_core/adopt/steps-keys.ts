import type { Table } from "./catalog.ts";
import { type Classification, isTenanted } from "./classify.ts";
import {
  constraintExists,
  foreignKeyExists,
  indexIsInvalid,
  relationExists,
} from "./conditions.ts";
import { globalUniques } from "./findings.ts";
import { freeName, type WantedIndex, type WantedKey, type WantedUnique } from "./keys.ts";
import { ident, idents, shortName } from "./names.ts";
import { type Abilities } from "./steps-columns.ts";
import { locked, type Step, step } from "./steps.ts";

const named = (table: Table, name: string) => `${ident(table.schema)}.${ident(name)}`;

/** Nobody queues behind a concurrent build: it may wait for the transactions that are older than itself. */
const PATIENT = "set lock_timeout = '5min'";

/** An index built beside running writes; an invalid one, left by a run that was cut short, is built anew. */
function indexStep(
  table: Table,
  name: string,
  definition: { unique: boolean; keys: string; tail?: string; title: string; phase: number },
  abilities: Abilities,
): Step {
  const concurrently = abilities.commits && !table.partitioned;
  const create = `create ${definition.unique ? "unique " : ""}index ${
    concurrently ? "concurrently " : ""
  }if not exists ${ident(name)} on ${table.id} (${definition.keys})${definition.tail ?? ""}`;
  const drop = `drop index ${concurrently ? "concurrently " : ""}if exists ${named(table, name)}`;
  return step({
    phase: definition.phase,
    slug: `index_${name}`,
    title: definition.title,
    lock: concurrently
      ? `ShareUpdateExclusive on ${table.id}, about 0.7 s for 1 M rows; reads and writes go on`
      : `Share on ${table.id}, about 0.5 s for 1 M rows: ${
        table.partitioned
          ? "a partitioned table has no concurrent form"
          : "one transaction runs all of these files"
      }, writers wait`,
    alone: concurrently,
    up: concurrently
      ? [
        locked([`drop index ${named(table, name)}`], indexIsInvalid(table.schema, name)),
        PATIENT,
        create,
      ]
      : [create],
    down: concurrently ? [PATIENT, drop] : [drop],
    downAlone: concurrently,
  });
}

/** Phase 30: unique (tenant, key), the target of keys that carry the tenant. */
export function uniqueSteps(wanted: WantedUnique, abilities: Abilities): Step[] {
  const { table, columns, name } = wanted;
  if (table.partitioned) {
    return [step({
      phase: 30,
      slug: `unique_${name}`,
      title: `${table.id}: unique (${idents(columns)}), the target of keys that carry the tenant`,
      lock:
        `Share on every partition of ${table.id}, about 0.5 s for 1 M rows: a partitioned table has no concurrent form, writers wait`,
      up: [
        locked([
          `alter table ${table.id} add constraint ${ident(name)} unique (${idents(columns)})`,
        ], `not ${constraintExists(table.id, name)}`),
      ],
      down: [locked([`alter table ${table.id} drop constraint if exists ${ident(name)}`])],
    })];
  }
  return [
    indexStep(table, name, {
      unique: true,
      keys: idents(columns),
      title: `${table.id}: unique (${idents(columns)}), the target of keys that carry the tenant`,
      phase: 30,
    }, abilities),
    step({
      phase: 31,
      slug: `unique_${name}`,
      title: `${table.id}: the index becomes the constraint ${ident(name)}`,
      lock: `AccessExclusive on ${table.id}, < 1 ms`,
      up: [locked(
        [`alter table ${table.id} add constraint ${ident(name)} unique using index ${ident(name)}`],
        `not ${constraintExists(table.id, name)}`,
      )],
      down: [locked([`alter table ${table.id} drop constraint if exists ${ident(name)}`])],
    }),
  ];
}

/** Phase 35: plain indexes. */
export function plainIndexStep(wanted: WantedIndex, abilities: Abilities): Step {
  return indexStep(wanted.table, wanted.name, {
    unique: false,
    keys: idents(wanted.columns),
    title: `${wanted.table.id}: an index that begins with ${idents(wanted.columns)}`,
    phase: 35,
  }, abilities);
}

/** MATCH FULL is lost once a column is added that is never null: a check says what it said. */
function matchFullSteps(key: WantedKey): Step[] {
  const old = key.replaces;
  if (!old || !/ MATCH FULL/.test(old.definition) || old.columns.length < 2) return [];
  const { table } = key.child;
  const name = freeName(table, shortName(old.name, "_full"));
  return [
    step({
      phase: 42,
      slug: `match_full_${old.name}`,
      title: `${table.id}: (${idents(old.columns)}) stay null together or not at all`,
      lock: `AccessExclusive on ${table.id}, about 1 ms`,
      up: [locked(
        [`alter table ${table.id} add constraint ${ident(name)} check (num_nulls(${
          idents(old.columns)
        }) in (0, ${old.columns.length})) not valid`],
        `not ${constraintExists(table.id, name)}`,
      )],
      down: [locked([`alter table ${table.id} drop constraint if exists ${ident(name)}`])],
    }),
    step({
      phase: 60,
      slug: `validate_match_full_${old.name}`,
      title: `${table.id}: the old rows too`,
      lock: `ShareUpdateExclusive on ${table.id}, about 50 ms for 1 M rows; reads and writes go on`,
      up: [locked([`alter table ${table.id} validate constraint ${ident(name)}`])],
    }),
  ];
}

/** Phases 40, 62 and 70: NOT VALID, VALIDATE, then the old key goes. Validated before RLS is forced: VALIDATE lies under it. */
export function keySteps(key: WantedKey): Step[] {
  const { table } = key.child;
  const target = `foreign key (${idents(key.columns)}) references ${key.parent} (${
    idents(key.parentColumns)
  })${key.action}`;
  const old = key.replaces;
  const action = key.action.includes("deferrable") ? "a" : "r";
  const done = foreignKeyExists(table.id, key.columns, key.parent, { action });
  const restored = old?.definition.replace(/ NOT VALID$/, "") ?? "";
  const title = key.carriesTenant
    ? `${table.id} (${idents(key.columns)}) leads into ${key.parent} of the same tenant only`
    : `${table.id} (${idents(key.columns)}) leads into ${key.parent} and restricts deletes`;
  const before = old === null ? [] : [locked(
    [`alter table ${table.id} drop constraint ${ident(old.name)}, add constraint ${
      ident(old.name)
    } ${restored}${table.partitioned ? "" : " not valid"}`],
    foreignKeyExists(table.id, key.columns, key.parent, { action, name: old.name }),
  )];
  if (table.partitioned) {
    return [
      ...matchFullSteps(key),
      step({
        phase: 62,
        slug: `key_${key.name}`,
        title: `${title}, checked at once`,
        lock:
          `ShareRowExclusive on ${table.id} and ${key.parent}, about 0.6 s for 1 M rows: a partitioned table has no NOT VALID, writers wait`,
        up: [locked(
          [`alter table ${table.id} ${
            old ? `drop constraint ${ident(old.name)}, ` : ""
          }add constraint ${ident(key.name)} ${target}`],
          `not ${done}`,
        )],
        down: old
          ? before
          : [locked([`alter table ${table.id} drop constraint if exists ${ident(key.name)}`])],
      }),
    ];
  }
  const steps = [
    ...matchFullSteps(key),
    step({
      phase: 41,
      slug: `key_${key.temporary}`,
      title: `${title}: new rows are checked from now on`,
      lock: `ShareRowExclusive on ${table.id} and ${key.parent}, about 1 ms`,
      up: [
        locked([
          `alter table ${table.id} add constraint ${ident(key.temporary)} ${target} not valid`,
        ], `not ${done}`),
      ],
      down: [locked([`alter table ${table.id} drop constraint if exists ${ident(key.temporary)}`])],
    }),
    step({
      phase: 62,
      slug: `validate_${key.temporary}`,
      title: `${title}: the old rows too`,
      lock:
        `ShareUpdateExclusive on ${table.id}, RowShare on ${key.parent}, about 0.6 s for 1 M rows; reads and writes go on`,
      up: [
        locked(
          [`alter table ${table.id} validate constraint ${ident(key.temporary)}`],
          constraintExists(table.id, key.temporary),
        ),
      ],
      down: old?.validated
        ? [
          locked(
            [`alter table ${table.id} validate constraint ${ident(old.name)}`],
            constraintExists(table.id, old.name),
          ),
        ]
        : [],
    }),
  ];
  if (old) {
    steps.push(step({
      phase: 70,
      slug: `swap_${key.name}`,
      title: `${table.id}: the new key takes the place and the name of ${
        ident(old.name)
      } (${old.definition})`,
      lock: `AccessExclusive on ${table.id} and ${key.parent}, < 1 ms`,
      up: [locked([
        `alter table ${table.id} drop constraint if exists ${ident(old.name)}`,
        `alter table ${table.id} rename constraint ${ident(key.temporary)} to ${ident(key.name)}`,
      ], constraintExists(table.id, key.temporary))],
      down: before,
    }));
  }
  return steps;
}

/** Phases 36 and 75: what was unique over all tenants is unique within one. */
export function perTenantSteps(world: Classification, abilities: Abilities): Step[] {
  return world.tables.filter(isTenanted).flatMap((each) =>
    globalUniques(world, each).flatMap((index) => {
      const { table } = each;
      if (world.config.uniques[`${table.id}.${ident(index.name)}`] !== "per_tenant") return [];
      const old = ident(index.name);
      const constraint = table.constraints.find((one) => one.name === index.constraint);
      const columns = index.columns.filter((column) => column !== null);
      const name = freeName(
        table,
        shortName(`${table.name}_${each.column}_${columns.join("_") || index.name}`, "_key"),
      );
      const keys = [ident(each.column), ...index.keys].join(", ");
      const tail = `${index.nullsNotDistinct ? " nulls not distinct" : ""}${
        index.predicate ? ` where ${index.predicate}` : ""
      }`;
      const back = constraint
        ? [
          locked(
            [`alter table ${table.id} add constraint ${old} ${constraint.definition}`],
            `not ${constraintExists(table.id, index.name)}`,
          ),
        ]
        : [
          `${
            index.definition.replace(
              /^(CREATE UNIQUE INDEX) /,
              table.partitioned || !abilities.commits
                ? "$1 if not exists "
                : "$1 concurrently if not exists ",
            )
          }`,
        ];
      return [
        indexStep(table, name, {
          unique: true,
          keys,
          tail,
          title: `${table.id}: unique (${keys}); \`on conflict (${
            index.keys.join(", ")
          })\` of the application must name the tenant from now on`,
          phase: 36,
        }, abilities),
        ...(constraint
          ? [step({
            phase: 37,
            slug: `unique_${name}`,
            title: `${table.id}: the index becomes the constraint ${ident(name)}`,
            lock: `AccessExclusive on ${table.id}, < 1 ms`,
            up: [locked(
              [`alter table ${table.id} add constraint ${ident(name)} unique using index ${
                ident(name)
              }`],
              `not ${constraintExists(table.id, name)}`,
            )],
            down: [locked([`alter table ${table.id} drop constraint if exists ${ident(name)}`])],
          })]
          : []),
        step({
          phase: 75,
          slug: `drop_${index.name}`,
          title: `${table.id}: one tenant's ${
            index.keys.join(", ")
          } no longer takes it from all others`,
          lock: `AccessExclusive on ${table.id}, < 1 ms`,
          up: [
            constraint
              ? locked([`alter table ${table.id} drop constraint if exists ${old}`])
              : locked(
                [`drop index ${named(table, index.name)}`],
                relationExists(table.schema, index.name),
              ),
          ],
          down: back,
          downAlone: !constraint && abilities.commits && !table.partitioned,
        }),
      ];
    })
  );
}
