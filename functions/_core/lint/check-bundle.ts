import type { Report } from "./finding.ts";
import { serviceKey } from "./make.ts";
import type { Module } from "./module.ts";
import { isPublicName, isPublicSecretName, isServiceKeyName } from "./names.ts";
import { placeOf } from "./place.ts";
import { at, type Program } from "./program.ts";
import { above, child, isMember, keyName, type Node, word } from "./syntax.ts";

/** Rules public-service-key and bundled-service-key. */
export function checkBundle(program: Program): Report[] {
  const reads = new Map<Module, Read[]>();
  const reports: Report[] = [];
  for (const module of program.modules) {
    const own = keyReads(program, module);
    if (own.length > 0) reads.set(module, own);
    for (const { node, name } of own) {
      if (isPublicName(name)) {
        reports.push(
          at(
            module,
            node,
            "lint/public-service-key",
            `${name} is copied into the code that every browser receives`,
          ),
        );
      }
    }
    reports.push(...exposedByConfig(program, module));
  }
  for (const [module, chain] of reachable(program, reads)) {
    const [first] = (reads.get(module) ?? []).filter((one) => !isPublicName(one.name));
    if (!first) continue;
    if (chain.length === 1) {
      reports.push(
        at(
          module,
          first.node,
          "lint/bundled-service-key",
          `${first.name} is read in code for the browser`,
        ),
      );
    } else {
      reports.push({
        ...at(
          module,
          first.node,
          "lint/bundled-service-key",
          `${first.name} is read in a module that the browser loads: ${chain.join(" -> ")}`,
        ),
        // Bundlers leave a variable without the public prefix out: it fails there, it does not leak.
        severity: "warning",
      });
    }
  }
  return reports;
}

type Read = { node: Node; name: string };

/** Where a module reads a service key from the environment, or has one written out. */
function keyReads({ evaluator }: Program, module: Module): Read[] {
  if (placeOf(module.path) === "test") return [];
  const found: Read[] = [];
  for (const node of module.members) {
    const name = keyName(node, "property");
    const object = child(node, "object");
    if (name === null || !object || !isKey(name)) continue;
    if (isWritten(node)) continue;
    if (evaluator.evaluate(object, module).some((one) => one.kind === "env")) {
      found.push({ node, name });
    }
  }
  for (const { specifier, bindings } of module.loads) {
    if (!specifier.startsWith("$env/")) continue;
    for (const { imported, node } of bindings) {
      if (imported && isKey(imported.name)) found.push({ node, name: imported.name });
    }
  }
  for (const scope of module.scopes.values()) {
    for (const binding of scope.names.values()) {
      const name = binding.path?.at(-1);
      if (
        typeof name !== "string" || !isKey(name) || !binding.init ||
        binding.path?.length !== 1
      ) continue;
      if (evaluator.evaluate(binding.init, module).some((one) => one.kind === "env")) {
        found.push({ node: binding.node, name });
      }
    }
  }
  return found;
}

function isKey(name: string): boolean {
  return isServiceKeyName(name) || isPublicSecretName(name);
}

/** `process.env.X = "…"`, as tests and tools do. */
function isWritten(node: Node): boolean {
  return node.parent?.type === "AssignmentExpression" && node.parent["left"] === node;
}

/** Modules that a browser loads, each with the shortest way to it from a file that says so. */
function reachable(program: Program, wanted: ReadonlyMap<Module, unknown>): Map<Module, string[]> {
  const found = new Map<Module, string[]>();
  const seen = new Map<Module, string[]>();
  let front: Module[] = program.modules.filter(isClientRoot);
  for (const root of front) seen.set(root, [root.path]);
  while (front.length > 0) {
    const next: Module[] = [];
    for (const module of front) {
      const chain = seen.get(module) ?? [];
      if (wanted.has(module)) found.set(module, chain);
      for (const { specifier, bindings } of module.loads) {
        // TypeScript drops an import of which only types are used.
        if (
          bindings.length > 0 && bindings.every((one) => one.references.length === 0) &&
          /\.[cm]?tsx?$/.test(module.path)
        ) {
          const isExported = bindings.some((one) =>
            [...module.exports.values()].some((each) =>
              each.from === "binding" && each.name === one.name
            )
          );
          const isElement = /\.tsx$/.test(module.path) &&
            bindings.some((one) => /^[A-Z]/.test(one.name));
          if (!isExported && !isElement) continue;
        }
        const target = program.resolve(module.path, specifier);
        if (typeof target === "string" || seen.has(target) || isServerOnly(target)) continue;
        seen.set(target, [...chain, target.path]);
        next.push(target);
      }
    }
    front = next;
  }
  return found;
}

function isClientRoot(module: Module): boolean {
  if (placeOf(module.path) === "test") return false;
  if (module.directives.includes("use client")) return true;
  return /\.(svelte|vue)$/.test(module.path) && !/\.server\.|(^|\/)server\//.test(module.path);
}

/** Modules that no bundle for browsers takes in: a build would fail, or only a reference is shipped. */
function isServerOnly(module: Module): boolean {
  return module.directives.includes("use server") ||
    module.loads.some((one) =>
      one.specifier === "server-only" || one.specifier === "@tanstack/react-start/server-only"
    ) ||
    /\.server\.[cm]?[jt]sx?$|(^|\/)(lib\/server|\.server)\//.test(module.path);
}

const EXPOSING: [RegExp, ReadonlySet<string>][] = [
  [/(^|\/)next\.config\.[cm]?[jt]s$/, new Set(["env", "publicRuntimeConfig"])],
  [/(^|\/)app\.config\.[cm]?[jt]s$/, new Set(["extra"])],
  [/(^|\/)vite\.config\.[cm]?[jt]s$/, new Set(["define"])],
  [/(^|\/)nuxt\.config\.[cm]?[jt]s$/, new Set(["public"])],
];

/** `env: { KEY: process.env.SERVICE_KEY }` in next.config.js, `extra` of Expo, `define` of Vite, `public` of Nuxt. */
function exposedByConfig({ evaluator }: Program, module: Module): Report[] {
  const fields = EXPOSING.find(([file]) => file.test(module.path))?.[1];
  if (!fields) return [];
  return module.properties.flatMap((property) => {
    const value = child(property, "value");
    if (!value || value.type === "ObjectExpression") return [];
    const owner = above(
      property,
      (node) => node.type === "ObjectProperty" && fields.has(keyName(node) ?? ""),
    );
    if (!owner) return [];
    const found = evaluator.evaluate(stringified(value) ?? value, module).find((one) =>
      (one.kind === "variable" && isServiceKeyName(one.name)) || one.kind === "secret"
    );
    return found
      ? [
        at(
          module,
          value,
          "lint/public-service-key",
          `"${keyName(owner)}" copies the service key ${
            serviceKey(found) ?? ""
          } into the code that every browser receives`,
        ),
      ]
      : [];
  });
}

/** What `JSON.stringify(value)` is given. */
function stringified(node: Node): Node | null {
  const callee = child(node, "callee");
  if (!isMember(callee) || word(child(callee, "object"), "name") !== "JSON") return null;
  const list = node["arguments"];
  const first: unknown = Array.isArray(list) ? list[0] : null;
  return typeof first === "object" && first !== null ? child({ ...node, first }, "first") : null;
}
