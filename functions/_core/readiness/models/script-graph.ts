import type { Module } from "../../lint/module.ts";
import type { Repository } from "../repository.ts";
import { type Scripts, scripts } from "./scripts.ts";

/** Who imports whom, by paths, read from the texts: whoever needs to be sure of an edge asks `isRealEdge`. */
export type ScriptGraph = { importers: Edges; imports: Edges };
type Edges = ReadonlyMap<string, readonly string[]>;

const IMPORT = /(?:\bfrom|\bimport|\brequire\s*\(|\bimport\s*\()\s*["']([^"'\n]{1,300})["']/g;

/**
 * The graph of imports, made without parsing.
 *
 * @example
 * scriptGraph(repository).importers.get("src/lib/admin.ts");
 */
export function scriptGraph(repository: Repository): ScriptGraph {
  return repository.once("script-graph", () => {
    const all = scripts(repository);
    const importers = new Map<string, string[]>();
    const imports = new Map<string, string[]>();
    const add = (edges: Map<string, string[]>, from: string, to: string) => {
      const list = edges.get(from);
      if (list) list.push(to);
      else edges.set(from, [to]);
    };
    for (const { path, text } of all.files) {
      for (const { 1: specifier = "" } of (text ?? "").matchAll(IMPORT)) {
        const target = all.find(path, specifier);
        if ("specifier" in target) continue;
        add(importers, target.file, path);
        add(imports, path, target.file);
      }
    }
    return { importers, imports };
  });
}

/**
 * The shortest way from a file that a browser loads to one of the wanted, null when there is none. Modules that no
 * bundle for browsers takes in end a way.
 */
export function clientChain(wanted: string, repository: Repository): string[] | null {
  const all = scripts(repository);
  const { importers } = scriptGraph(repository);
  const seen = new Map<string, string[]>([[wanted, [wanted]]]);
  let front = [wanted];
  for (let step = 0; step < 40 && front.length > 0; step++) {
    const next: string[] = [];
    for (const path of front) {
      const chain = seen.get(path) ?? [];
      if (isClient(textOf(path, repository), path)) return chain;
      for (const importer of importers.get(path) ?? []) {
        if (seen.has(importer) || isServerOnly(textOf(importer, repository), importer)) continue;
        if (repository.file(importer)?.context === "test" || !isRealEdge(importer, path, all)) {
          continue;
        }
        seen.set(importer, [importer, ...chain]);
        next.push(importer);
      }
    }
    front = next;
  }
  return null;
}

function textOf(path: string, repository: Repository): string {
  return repository.file(path)?.text ?? "";
}

/** Whether a module says that it runs in a browser. */
export function isClient(text: string, path: string): boolean {
  if (/\.(svelte|vue)$/.test(path)) return !/\.server\.|(^|\/)server\//.test(path);
  return hasDirective(text, "use client");
}

/** Modules that no bundle for browsers takes in: a build would fail, or only a reference is shipped. */
export function isServerOnly(text: string, path: string): boolean {
  return hasDirective(text, "use server") ||
    /\bimport\s*["'](server-only|@tanstack\/react-start\/server-only)["']/.test(text) ||
    /\.server\.[cm]?[jt]sx?$|(^|\/)(lib\/server|\.server|api|pages\/api)\//.test(path) ||
    /(^|\/)(route|middleware|proxy|instrumentation)\.[cm]?[jt]s$/.test(path);
}

function hasDirective(text: string, directive: string): boolean {
  const head = text.slice(0, 2_000).replace(/^\uFEFF?(\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/, "");
  return head.startsWith(`"${directive}"`) || head.startsWith(`'${directive}'`);
}

/** Whether an import is there when the code runs: not of types alone, not of names that only types use. */
function isRealEdge(from: string, to: string, all: Scripts): boolean {
  const module: Module | null = all.at(from);
  if (!module) return false;
  return module.loads.some(({ specifier, bindings }) => {
    const target = all.find(from, specifier);
    if (!("file" in target) || target.file !== to) return false;
    if (bindings.length === 0) return true;
    return !/\.[cm]?tsx?$/.test(from) ||
      bindings.some((one) =>
        one.references.length > 0 || (/^[A-Z]/.test(one.name) && from.endsWith("x"))
      );
  });
}
