import type { Policy, Routine, Table } from "./catalog.ts";
import { type Classification, type Classified, isTenanted } from "./classify.ts";
import { exposedViews } from "./findings.ts";
import { ident, literal, textArray } from "./names.ts";
import { locked, type Step, step } from "./steps.ts";

/** Phases 80 to 84: policies, functions and views, as bulkhead.toml says. */
export function exposureSteps(world: Classification): Step[] {
  return [
    ...world.tables.filter(isTenanted).flatMap((each) =>
      each.table.policies.flatMap((one) => policyStep(world, each.table, one))
    ),
    ...world.catalog.routines.flatMap((routine) => routineStep(world, routine)),
    ...exposedViews(world).flatMap((view) => {
      const choice = world.config.views[view.id] ?? "keep";
      if (choice === "invoker" && !view.materialized) {
        return [step({
          phase: 84,
          slug: `view_${view.id}`,
          title: `${view.id} asks as its reader, so that policies hold`,
          lock: `AccessExclusive on ${view.id}, < 1 ms`,
          up: [locked([`alter view ${view.id} set (security_invoker = true)`])],
          down: [locked([`alter view ${view.id} reset (security_invoker)`])],
        })];
      }
      if (choice !== "close") return [];
      return [step({
        phase: 84,
        slug: `view_${view.id}`,
        title: `${view.id} is no longer open to the API`,
        lock: `none worth naming`,
        up: [`revoke all on ${view.id} from public, anon, authenticated`],
        down: [`grant select on ${view.id} to anon, authenticated`],
      })];
    }),
  ];
}

const roleList = (roles: readonly string[]) =>
  roles.map((role) => role === "public" ? role : ident(role)).join(", ");

function policyStep(world: Classification, table: Table, policy: Policy): Step[] {
  const subject = `${table.id}.${ident(policy.name)}`;
  const choice = world.config.policies[subject] ?? "keep";
  const rest = policy.roles.filter((role) => role !== "anon" && role !== "public");
  const open = rest.length < policy.roles.length;
  if (choice === "keep" || !policy.permissive || (choice === "narrow" && !open)) return [];
  const shown = `for ${roleList(policy.roles)} using (${policy.using ?? "-"}) with check (${
    policy.check ?? "-"
  })`;
  const name = ident(policy.name);
  const narrowed = rest.length > 0
    ? rest
    : policy.roles.includes("public")
    ? ["authenticated"]
    : [];
  const exists = `exists (select from pg_catalog.pg_policy where polrelid = ${
    literal(table.id)
  }::regclass and polname = ${literal(policy.name)})`;
  if (choice === "narrow" && narrowed.length > 0) {
    return [step({
      phase: 80,
      slug: `policy_${table.name}_${policy.name}`,
      title: `${table.id}: the policy ${name} holds for ${roleList(narrowed)} only`,
      lock: `AccessExclusive on ${table.id}, about 1 ms`,
      up: [locked([`alter policy ${name} on ${table.id} to ${roleList(narrowed)}`], exists)],
      down: [locked([`alter policy ${name} on ${table.id} to ${roleList(policy.roles)}`], exists)],
    })];
  }
  const command =
    { r: "select", a: "insert", w: "update", d: "delete", "*": "all" }[policy.command];
  return [step({
    phase: 80,
    slug: `policy_${table.name}_${policy.name}`,
    title: `${table.id}: the policy ${name} goes (${shown})`,
    lock: `AccessExclusive on ${table.id}, about 1 ms`,
    up: [locked([`drop policy if exists ${name} on ${table.id}`])],
    down: [locked([
      `create policy ${name} on ${table.id} as permissive for ${command} to ${
        roleList(policy.roles)
      }${policy.using === null ? "" : ` using (${policy.using})`}${
        policy.check === null ? "" : ` with check (${policy.check})`
      }`,
    ], `not ${exists}`)],
  })];
}

function routineStep(world: Classification, routine: Routine): Step[] {
  const choices = world.config.functions[routine.id] ?? [];
  const up: string[] = [];
  const down: string[] = [];
  if (choices.includes("pin") && !routine.searchPath) {
    up.push(
      `alter function ${routine.id} set search_path = pg_catalog, ${
        ident(routine.schema)
      }, pg_temp`,
    );
    down.push(`alter function ${routine.id} reset search_path`);
  }
  if (choices.includes("invoker") && routine.definer) {
    up.push(`alter function ${routine.id} security invoker`);
    down.push(`alter function ${routine.id} security definer`);
  }
  if (choices.includes("close") && routine.anon) {
    const open = routine.grants.filter((one) => one.privilege === "EXECUTE").map((one) =>
      one.grantee
    );
    const members = ["authenticated", "service_role"].filter((role) => !open.includes(role));
    up.push(`revoke execute on function ${routine.id} from public, anon`);
    if (open.includes("public") && members.length > 0) {
      up.push(`grant execute on function ${routine.id} to ${members.join(", ")}`);
      down.push(`revoke execute on function ${routine.id} from ${members.join(", ")}`);
    }
    const back = open.filter((role) => role === "public" || role === "anon");
    if (back.length > 0) down.push(`grant execute on function ${routine.id} to ${back.join(", ")}`);
  }
  if (up.length === 0) return [];
  return [step({
    phase: 82,
    slug: `function_${routine.id}`,
    title: `${routine.id}: ${choices.join(", ")}`,
    lock: "none on tables",
    up,
    down,
  })];
}

/** Phase 90 on: the settings, then every table under RLS, guard and audit; the global ones exempt. */
export function protectSteps(world: Classification): Step[] {
  const { config, catalog } = world;
  const known = new Map(catalog.kit?.protected.map((one) => [one.id, one.column]));
  const open = world.tables.filter((each) =>
    isTenanted(each) && known.get(each.table.id) !== each.column
  );
  const exempt = world.tables.filter((each) =>
    each.kind === "global" && !catalog.kit?.exempt.includes(each.table.id)
  );
  const steps: Step[] = [];
  if (catalog.kit?.tenantsTable !== world.tenants.id) {
    const membership = config.membership;
    const args = [
      literal(world.tenants.id),
      `tenant_column => ${literal(config.tenants.column)}`,
      ...(membership
        ? [
          `membership_table => ${literal(membership.table)}`,
          `membership_user_column => ${literal(membership.user_column)}`,
          `membership_tenant_column => ${
            literal(
              membership.tenant_column ?? world.byId.get(membership.table)?.column ??
                config.tenants.column,
            )
          }`,
          ...(membership.active ? [`membership_active => ${literal(membership.active)}`] : []),
        ]
        : []),
      `direct_roles => ${textArray(config.roles.direct)}::name[]`,
      ...(config.roles.platform.length > 0
        ? [`platform_roles => ${textArray(config.roles.platform)}::name[]`]
        : []),
      `exposed_schemas => ${textArray(config.schemas)}::name[]`,
    ];
    steps.push(step({
      phase: 90,
      slug: "configure",
      title: "the kit learns where the tenants and the members are",
      lock: "none on your tables",
      up: [`select bulkhead.configure(\n    ${args.join(",\n    ")}\n)`],
      down: [
        `update bulkhead.settings set tenants_table = null, tenant_key = null, tenant_type = null, membership_table = null, membership_user_column = null, membership_tenant_column = null, membership_active = null, direct_roles = '{}' where tenants_table = ${
          literal(world.tenants.id)
        }::regclass`,
        "select bulkhead.declare_settings()",
      ],
    }));
  }
  for (const each of open) steps.push(protectStep(world, each));
  if (config.roles.service_role === "close" && catalog.kit?.serviceRoleClosed !== true) {
    steps.push(step({
      phase: 94,
      slug: "close_service_role",
      title:
        "service_role loses its rights on tenants' tables: back ends arrive as bulkhead_service",
      lock: "none that waits for rows",
      up: ["select bulkhead.close_service_role()"],
      down: ["select bulkhead.open_service_role('the adoption is taken back')"],
    }));
  }
  for (const each of exempt) {
    steps.push(step({
      phase: 93,
      slug: `exempt_${each.table.name}`,
      title: `${each.table.id} holds no tenant's rows: ${each.reason ?? ""}`,
      lock: "none on your tables",
      up: [`select bulkhead.exempt(${literal(each.table.id)}, ${literal(each.reason ?? "")})`],
      down: [`select bulkhead.unexempt(${literal(each.table.id)})`],
    }));
  }
  return steps;
}

function protectStep(world: Classification, each: Classified): Step {
  const { table } = each;
  const column = each.kind === "tenants" || each.column === world.config.tenants.column
    ? ""
    : `, ${literal(each.column)}`;
  const parts = world.catalog.tables.filter((one) =>
    one === table || (one.isPartition && rootOf(world, one) === table.id)
  );
  // What protect() revokes, unprotect() does not give back: only this catalog remembers it.
  const grants = parts.flatMap((part) =>
    part.grants.filter((one) =>
      ["anon", "public"].includes(one.grantee) ||
      (["authenticated", "service_role"].includes(one.grantee) &&
        ["TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"].includes(one.privilege))
    ).map((one) =>
      `grant ${one.privilege.toLowerCase()} on table ${part.id} to ${roleList([one.grantee])}${
        one.grantable ? " with grant option" : ""
      }`
    )
  );
  return step({
    phase: 92,
    slug: `protect_${table.name}`,
    title: `${table.id}: RLS enabled and forced, the restrictive policy, guard and audit`,
    lock:
      `AccessExclusive on ${table.id}, about 10 ms: every key is there and validated, nothing is read`,
    up: [locked([`perform bulkhead.protect(${literal(table.id)}${column})`])],
    down: [locked([`perform bulkhead.unprotect(${literal(table.id)})`]), ...grants],
  });
}

function rootOf(world: Classification, table: Table): string {
  let at = table;
  for (;;) {
    const up = world.catalog.tables.find((one) => one.id === at.parent);
    if (!at.isPartition || !up) return at.id;
    at = up;
  }
}
