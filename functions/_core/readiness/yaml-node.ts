import type { YamlEntry, YamlNode } from "./parsers.ts";

/**
 * The value at a path of keys, null when there is none. A number asks for the item of a list.
 *
 * @example
 * at(workflow, "jobs", "test", "steps", 0);
 */
export function at(node: YamlNode | null, ...path: (string | number)[]): YamlNode | null {
  let here: YamlNode | null = node;
  for (const step of path) {
    if (here?.kind === "map") {
      here = here.entries.find((entry) => entry.key === String(step))?.value ?? null;
    } else if (here?.kind === "seq" && typeof step === "number") here = here.items[step] ?? null;
    else return null;
  }
  return here;
}

/** The entries of a map, none of anything else. */
export function entries(node: YamlNode | null): YamlEntry[] {
  return node?.kind === "map" ? node.entries : [];
}

/** The items of a list; a single scalar counts as a list of one, as GitHub and compose read it. */
export function items(node: YamlNode | null): YamlNode[] {
  if (node?.kind === "seq") return node.items;
  return node?.kind === "scalar" && node.value !== null ? [node] : [];
}

/** The text of a scalar, null of anything else. */
export function text(node: YamlNode | null): string | null {
  return node?.kind === "scalar" && node.value !== null ? String(node.value) : null;
}
