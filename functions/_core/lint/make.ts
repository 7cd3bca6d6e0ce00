import type { Evaluator } from "./evaluate.ts";
import type { Module } from "./module.ts";
import { isServiceKeyInPlace, soundsLikeServiceKey } from "./names.ts";
import { known } from "./packages.ts";
import { child, children, keyName, type Node } from "./syntax.ts";
import type { Context, Role, Value } from "./value.ts";

/** A call, where it stands and with what. */
export type Made = { node: Node; module: Module; context: Context; args: Node[] };

/** What a call of something from a package makes. */
export function construct(
  evaluator: Evaluator,
  from: Extract<Value, { kind: "external" }>,
  made: Made,
): Value[] {
  const { node, module, context, args } = made;
  const what = known(from.specifier, from.name);
  if (what === null) {
    return from.specifier === "next/headers" && from.name === "headers"
      ? [{ kind: "input", part: "header", name: "" }]
      : [];
  }
  switch (what.makes) {
    case "client":
      return makeClient(evaluator, made, what.key);
    case "service-client": {
      const site = evaluator.site(node, module);
      return [{ kind: "client", role: "service", site, key: from.name }];
    }
    case "pool": {
      const [first] = args;
      if (what.of === "first" && first) {
        // Drizzle over a pool is that pool.
        const inner = poolsIn(evaluator, evaluator.value(first, module, context));
        if (inner.length > 0) {
          return inner.map((one) => ({ ...one, library: what.library }));
        }
      }
      return [{ kind: "pool", site: evaluator.site(node, module), library: what.library }];
    }
    default:
      return [];
  }
}

/** `drizzle(pool)`, `drizzle({ client: pool })`. */
function poolsIn(
  evaluator: Evaluator,
  values: readonly Value[],
): Extract<Value, { kind: "pool" }>[] {
  return values.flatMap((value) =>
    value.kind === "pool"
      ? [value]
      : value.kind === "object"
      ? evaluator.property(value, "client").flatMap((one) => one.kind === "pool" ? [one] : [])
      : []
  );
}

/** A Supabase client, with the rights that its key gives. */
function makeClient(evaluator: Evaluator, made: Made, where: "second" | "options"): Value[] {
  const { node, module, context, args } = made;
  const keys: Value[] = [];
  const [, second, third] = args;
  const objects = args.flatMap((one) => evaluator.value(one, module, context))
    .filter((one) => one.kind === "object");
  if (second) keys.push(...evaluator.value(second, module, context));
  // The older helpers take `{ supabaseKey }` in one of their objects.
  if (where === "options" || (keys.length === 0 && args.length === 1)) {
    for (const object of objects) keys.push(...evaluator.property(object, "supabaseKey"));
  }
  const key = keys.map((one) => serviceKey(one)).find((one) => one !== null) ?? null;
  const site = evaluator.site(node, module);
  if (key === null) return [{ kind: "client", role: "other", site, key: "" }];
  const options = third ? evaluator.value(third, module, context) : [];
  const role: Role = options.some((one) => carriesUserToken(evaluator, one)) ? "user" : "service";
  return [{ kind: "client", role, site, key }];
}

/** What makes a value a service key where a key is expected, null when nothing does. */
export function serviceKey(value: Value): string | null {
  switch (value.kind) {
    case "variable":
      return isServiceKeyInPlace(value.name) ? value.name : null;
    case "secret":
      return "a key in the code";
    case "named":
      return isServiceKeyInPlace(value.name) || soundsLikeServiceKey(value.name)
        ? value.name
        : null;
    default:
      return null;
  }
}

/** `{ global: { headers: { Authorization: … } } }` with something else than the key, or `{ accessToken }`. */
function carriesUserToken(evaluator: Evaluator, options: Value): boolean {
  if (options.kind !== "object") return false;
  if (children(options.node, "properties").some((one) => keyName(one) === "accessToken")) {
    return true;
  }
  const headers = evaluator.property(options, "global").flatMap((one) =>
    evaluator.property(one, "headers")
  );
  for (const one of headers) {
    if (one.kind !== "object") continue;
    for (const property of children(one.node, "properties")) {
      if (keyName(property)?.toLowerCase() !== "authorization") continue;
      const value = child(property, "value");
      if (!value) return true;
      return !evaluator.value(value, one.module, one.context).some((each) =>
        serviceKey(each) !== null
      );
    }
  }
  return false;
}
