import { schemaOf } from "./body-facts.ts";
import { names, text, type Thing } from "./snapshot.ts";
import { API_ROLES, type State } from "./world.ts";

/** Roles that answer for whoever calls: the API's, and those that the kit was told of. */
export function callers(state: State): string[] {
  return [
    ...API_ROLES.filter((one) => one !== "service_role"),
    ...names(state.get("kit setting", "", "direct_roles"), "value"),
  ];
}

/** Roles that nobody's row is kept from: superusers and those that bypass RLS, service_role left out. */
export function isTrusted(state: State, role: string): boolean {
  const found = state.get("role", "", role);
  return role !== "service_role" && found !== undefined &&
    (found["superuser"] === true || found["bypassrls"] === true);
}

/** Roles whose membership is a way around RLS. */
export function isPowerful(state: State, role: string, seen: readonly string[] = []): boolean {
  if (seen.includes(role)) return false;
  if (
    /^pg_(read_all_data|write_all_data|execute_server_program|read_server_files|write_server_files|create_subscription|maintain)$/
      .test(role)
  ) {
    return true;
  }
  const found = state.get("role", "", role);
  if (role === "service_role" || role === "bulkhead_audit" || role === "postgres") return true;
  if (found?.["superuser"] === true || found?.["bypassrls"] === true) return true;
  return state.all("membership").some((one) =>
    one.name === role && isPowerful(state, one.on, [...seen, role])
  );
}

/** Which callers reach a relation: a privilege on it or on a column, and its schema open to them. */
export function reach(state: State, relation: Thing): string[] {
  const grants = [
    ...state.on("grant", `${relation.kind} ${relation.name}`),
    ...state.all("grant").filter((one) => one.on.startsWith(`column ${relation.name}.`)),
  ];
  return callers(state).filter((role) =>
    grants.some((one) =>
      one.name === role &&
      names(one, "privileges").some((each) => /^(SELECT|INSERT|UPDATE|DELETE)/.test(each))
    ) && mayUse(state, schemaOf(relation.name), role)
  );
}

/** Whether a role may name things in a schema. */
function mayUse(state: State, schema: string, role: string): boolean {
  return state.on("grant", `schema ${schema}`).some((one) =>
    (one.name === role || one.name === "public") &&
    names(one, "privileges").some((each) => each.startsWith("USAGE"))
  );
}

/** Which callers may run a function. */
export function runners(state: State, routine: Thing): string[] {
  return callers(state).filter((role) =>
    state.on("grant", `function ${routine.name}`).some((one) =>
      one.name === role || one.name === "public"
    ) && mayUse(state, schemaOf(routine.name), role)
  );
}

/** What default privileges gave a new object to a role anyway. */
export function byDefault(
  state: State,
  object: { kind: string; name: string },
  role: string,
): Set<string> {
  const objects = object.kind === "sequence"
    ? "sequences"
    : object.kind === "function"
    ? "functions"
    : object.kind === "schema"
    ? "schemas"
    : "tables";
  return new Set(
    state.all("default privilege")
      .filter((one) =>
        one.name === role &&
        (one.on.startsWith(`${objects} of `) ||
          one.on.startsWith(`${objects} in schema ${schemaOf(object.name)} of `))
      )
      .flatMap((one) => names(one, "privileges")),
  );
}

/** The tables of tenants that a view or a function looks at, through views too. */
export function readsOf(
  state: State,
  reader: Thing,
  isTenants: (table: string) => boolean,
  seen: readonly string[] = [],
): string[] {
  const found = new Set<string>();
  for (const id of names(reader, "reads")) {
    if (seen.includes(id)) continue;
    if (isTenants(id)) found.add(id);
    const view = state.get("view", "", id) ?? state.get("materialized view", "", id);
    if (view) { for (const one of readsOf(state, view, isTenants, [...seen, id])) found.add(one); }
  }
  return [...found].sort();
}

export const owner = (thing: Thing | undefined): string => text(thing, "owner");
