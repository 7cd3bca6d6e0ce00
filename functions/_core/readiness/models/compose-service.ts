import type { YamlNode } from "../parsers.ts";
import { at, entries, items, text } from "../yaml-node.ts";
import { words } from "./dockerfiles.ts";
import { interpolate, type Part, settled } from "./interpolation.ts";

/** A node and the file it stands in. */
export type Located = { file: string; node: YamlNode };

/** A service of compose: what each fragment says of it, the last word last. */
export type Service = {
  name: string;
  /** Where it is first defined. */
  file: string;
  line: number;
  layers: Located[];
};

type Place = { file: string; line: number };

/** What every fragment says under a key, without what `!reset` and `!override` take away. */
export function layered(service: Service, key: string): Located[] {
  let found: Located[] = [];
  for (const { file, node } of service.layers) {
    const value = at(node, key);
    if (!value) continue;
    if (value.tag === "!reset") found = [];
    else if (value.tag === "!override") found = [{ file, node: value }];
    else found.push({ file, node: value });
  }
  return found;
}

/**
 * The node at a path of keys, as merged: the last fragment that has it wins.
 *
 * @example
 * value(service, "deploy", "resources", "limits", "memory")?.node.line;
 */
export function value(service: Service, key: string, ...path: string[]): Located | null {
  for (const { file, node } of layered(service, key).toReversed()) {
    const found = at(node, ...path);
    if (found?.tag === "!reset") return null;
    if (found) return { file, node: found };
  }
  return null;
}

/** The text at a path of keys with the defaults of its references; null where it is absent or dynamic. */
export function textAt(service: Service, key: string, ...path: string[]): string | null {
  const found = text(value(service, key, ...path)?.node ?? null);
  return found === null ? null : settled(interpolate(found));
}

/** A key of a map, or an item `KEY=value` of a list, as environment, labels and build.args have them. */
export type Pair = Place & { name: string; value: string | null; parts: Part[] };

/** Pairs of the last word each. */
function pairsAt(service: Service, key: string, ...path: string[]): Pair[] {
  const found = new Map<string, Pair>();
  for (const { file, node } of layered(service, key)) {
    const here = at(node, ...path);
    if (here?.kind === "map") {
      for (const { key: name, value: one, line } of here.entries) {
        if (one.tag === "!reset") found.delete(name);
        else found.set(name, pair(name, text(one), { file, line }));
      }
    } else {
      for (const item of items(here)) {
        const written = text(item);
        if (written === null) continue;
        const equals = written.indexOf("=");
        const name = equals === -1 ? written : written.slice(0, equals);
        const given = equals === -1 ? null : written.slice(equals + 1);
        found.set(name, pair(name, given, { file, line: item.line }));
      }
    }
  }
  return [...found.values()];
}

function pair(name: string, given: string | null, place: Place): Pair {
  return { name, value: given, parts: given === null ? [] : interpolate(given), ...place };
}

export function environment(service: Service): Pair[] {
  return pairsAt(service, "environment");
}

/** Labels; those under `deploy` count, which a swarm's proxy reads. */
export function labels(service: Service): Pair[] {
  return [...pairsAt(service, "labels"), ...pairsAt(service, "deploy", "labels")];
}

/** A published port. `address` is what it listens on: null for every interface, `undefined` where it can't be told. */
export type Port = Place & {
  written: string;
  address: string | null | undefined;
  published: string | null;
  target: string;
};

export function ports(service: Service): Port[] {
  return layered(service, "ports").flatMap(({ file, node }) =>
    items(node).flatMap((item): Port[] => {
      const place = { file, line: item.line };
      if (item.kind === "map") {
        const address = text(at(item, "host_ip"));
        const published = text(at(item, "published"));
        const target = text(at(item, "target")) ?? "";
        return [{
          ...place,
          written: `${published ?? ""}:${target}`,
          address: address === null ? null : settled(interpolate(address)) ?? undefined,
          published,
          target,
        }];
      }
      const written = text(item);
      if (written === null) return [];
      const split = splitPort(written);
      const target = (split.pop() ?? "").replace(/\/(tcp|udp)$/, "");
      const published = split.pop() ?? null;
      const host = split.length === 0 ? null : split.join(":").replace(/^\[|\]$/g, "");
      const address = host === null ? null : settled(interpolate(host)) ?? undefined;
      // `${PORT}:8000` may hold an address as well: a variable alone before the target decides both.
      const isHidden = host === null && published !== null &&
        settled(interpolate(published)) === null;
      const inside = host === null && published !== null ? settled(interpolate(published)) : null;
      const both = inside?.includes(":") ? inside.split(":") : null;
      return [{
        ...place,
        written,
        address: both ? both[0] ?? null : isHidden ? undefined : address === "" ? null : address,
        published: both ? both[1] ?? null : published,
        target,
      }];
    })
  );
}

/** Colons outside `${…}` and brackets part a port; none do inside. */
function splitPort(written: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const char of written) {
    if (char === "{" || char === "[") depth++;
    if (char === "}" || char === "]") depth--;
    if (char === ":" && depth <= 0) parts.push("");
    else parts[parts.length - 1] += char;
  }
  return parts;
}

/** Whether a port can be reached from other hosts: null where its address can't be told. */
export function isOpen({ address }: Port): boolean | null {
  if (address === undefined) return null;
  return address === null || !/^(127\.|::1$|localhost$)/.test(address);
}

export type Volume = Place & {
  kind: "bind" | "volume" | "tmpfs";
  source: string;
  target: string;
  isReadOnly: boolean;
};

/** Volumes, one a target: a later fragment replaces an earlier one's. */
export function volumes(service: Service): Volume[] {
  const found = new Map<string, Volume>();
  for (const { file, node } of layered(service, "volumes")) {
    for (const item of items(node)) {
      const place = { file, line: item.line };
      if (item.kind === "map") {
        const kind = text(at(item, "type")) ?? "volume";
        const target = text(at(item, "target")) ?? "";
        found.set(target, {
          ...place,
          kind: kind === "bind" || kind === "tmpfs" ? kind : "volume",
          source: text(at(item, "source")) ?? "",
          target,
          isReadOnly: text(at(item, "read_only")) === "true",
        });
        continue;
      }
      const written = text(item);
      if (written === null) continue;
      const [first = "", second, mode = ""] = splitPort(written);
      const source = second === undefined ? "" : settled(interpolate(first)) ?? first;
      const target = second ?? first;
      found.set(target, {
        ...place,
        kind: /^(\.|\/|~|\$)/.test(source) ? "bind" : "volume",
        source,
        target,
        isReadOnly: mode.split(",").includes("ro"),
      });
    }
  }
  return [...found.values()];
}

export type Dependency = Place & { name: string; condition: string };

/** What it waits for; the short form waits for a start alone. */
export function dependencies(service: Service): Dependency[] {
  const found = new Map<string, Dependency>();
  for (const { file, node } of layered(service, "depends_on")) {
    for (const { key: name, value: one, line } of entries(node)) {
      const condition = text(at(one, "condition")) ?? "service_started";
      found.set(name, { name, condition, file, line });
    }
    for (const item of node.kind === "map" ? [] : items(node)) {
      const name = text(item);
      if (name === null || found.has(name)) continue;
      found.set(name, { name, condition: "service_started", file, line: item.line });
    }
  }
  return [...found.values()];
}

export type Build = Place & {
  /** From the root of the repository, null where it is dynamic or outside. */
  context: string | null;
  dockerfile: string | null;
  target: string | null;
  isInline: boolean;
};

/** How the image is built, null where it is not. Paths are resolved from the directory of the project. */
export function buildOf(service: Service, directory: string): Build | null {
  const whole = value(service, "build");
  if (!whole) return null;
  const short = layered(service, "build").findLast(({ node }) => node.kind === "scalar");
  const context = textAt(service, "build", "context") ?? (short ? text(short.node) : ".");
  const dockerfile = textAt(service, "build", "dockerfile");
  const settledContext = context === null ? null : settled(interpolate(context));
  const folder = settledContext === null ? null : join(directory, settledContext);
  return {
    file: whole.file,
    line: whole.node.line,
    context: folder,
    dockerfile: folder === null ? null : join(folder, dockerfile ?? "Dockerfile"),
    target: textAt(service, "build", "target"),
    isInline: value(service, "build", "dockerfile_inline") !== null,
  };
}

/**
 * A path relative to a folder, both from the root of the repository; null where it leaves it.
 *
 * @example
 * join("deploy", "../backend"); // "backend"
 */
export function join(folder: string, path: string): string | null {
  if (path.startsWith("/") || path.startsWith("~") || /^[a-z]+:\/\//i.test(path)) return null;
  const steps: string[] = [];
  for (const step of `${folder}/${path}`.split("/")) {
    if (step === "" || step === ".") continue;
    if (step !== "..") steps.push(step);
    else if (steps.pop() === undefined) return null;
  }
  return steps.join("/");
}

/** The words of `command` or `entrypoint`, as compose splits them; null where there is none. */
export function commandAt(
  service: Service,
  key: "command" | "entrypoint",
): Place & { words: string[] } | null {
  const found = value(service, key);
  if (!found) return null;
  const { file, node } = found;
  const list = node.kind === "seq"
    ? node.items.map((item) => text(item) ?? "")
    : words(text(node) ?? "");
  if (list.length === 0) return null;
  const settle = (word: string) => settled(interpolate(word)) ?? word;
  return { file, line: node.line, words: list.map(settle) };
}
