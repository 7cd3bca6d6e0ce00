import { child, children, keyName, type Node, word } from "../../lint/syntax.ts";
import type { Module } from "../../lint/module.ts";
import type { Evidence } from "../rule.ts";
import type { Repository } from "../repository.ts";
import { scriptGraph } from "./script-graph.ts";

import { type Branch, branches, HOLE, modeAt, textOf } from "./script-values.ts";
import { callsIn, lineOf, scripts } from "./scripts.ts";

/** A header that something sets on the answers of the web. */
export type WebHeader = {
  /** In lower case. */
  name: string;
  /** What it can be in production, `…` for what nobody can know; empty where only development sets it. */
  values: string[];
  file: string;
  line: number;
  /** False where nothing loads the file that says so. */
  isWired: boolean;
};

const HEADER =
  /content-security-policy(-report-only)?|strict-transport-security|x-content-type-options|x-frame-options|referrer-policy/i;
const WHOLE = new RegExp(`^(${HEADER.source})$`, "i");
const ENTRY =
  /(^|\/)(next|nuxt|svelte|vite|astro|remix|react-router)\.config\.[cm]?[jt]s$|(^|\/)(middleware|proxy|hooks\.server|entry\.server|server|app|main|index|root)\.[cm]?[jt]sx?$/;
const FRAMEWORK =
  /"(next|nuxt|react-dom|vue|svelte|astro|@angular\/core|@remix-run\/react|@sveltejs\/kit|solid-js)"\s*:/;

/** The manifests of web front ends. */
export function webManifests(repository: Repository): { path: string; isNext: boolean }[] {
  return repository.once(
    "web-manifests",
    () =>
      repository.matching(/(^|\/)package\.json$/).flatMap(({ path, text, context }) =>
        text !== null && context !== "test" && FRAMEWORK.test(text)
          ? [{ path, isNext: /"next"\s*:/.test(text) }]
          : []
      ),
  );
}

/** Whether a package is among the dependencies of any manifest. */
export function dependsOn(repository: Repository, name: RegExp): boolean {
  return repository.matching(/(^|\/)package\.json$/).some(({ text, context }) =>
    context !== "test" &&
    [...(text ?? "").matchAll(/"([^"\n]{1,100})"\s*:\s*"/g)].some((one) => name.test(one[1] ?? ""))
  );
}

/**
 * The security headers that the repository sets: in Next's config and middleware, by helmet, in vercel.json, Caddyfile
 * and nginx.
 *
 * @example
 * webHeaders(repository).filter(({ name }) => name === "content-security-policy");
 */
export function webHeaders(repository: Repository): WebHeader[] {
  return repository.once("web-headers", () => {
    const all = scripts(repository);
    const found: WebHeader[] = [];
    for (const module of all.mentioning(new RegExp(`${HEADER.source}|helmet`, "i"))) {
      const context = repository.file(module.path)?.context;
      if (context === "test" || context === "docs") continue;
      const isWired = ENTRY.test(module.path) ||
        (scriptGraph(repository).importers.get(module.path) ?? []).length > 0;
      const add = (name: string, node: Node, value: Node) => {
        if (modeAt(node, module, all) === "development") return;
        const values = branches(value, module, all).filter(({ when }) => when !== "development")
          .map((one: Branch) => textOf(one.value));
        found.push({
          name: name.toLowerCase(),
          values,
          file: module.path,
          line: lineOf(module, node),
          isWired,
        });
      };
      for (const { name, node, value } of pairsOf(module)) add(name, node, value);
      found.push(...helmets(repository, module, isWired));
    }
    for (const file of repository.matching(TEXTS)) {
      if (file.context === "test" || file.context === "docs" || file.context === "dev") continue;
      found.push(...textHeaders(file.path, file.text ?? ""));
    }
    return found;
  });
}

/** Names of headers in a module with the expression of their value. */
function pairsOf(module: Module): { name: string; node: Node; value: Node }[] {
  const found: { name: string; node: Node; value: Node }[] = [];
  for (const property of module.properties) {
    const value = child(property, "value");
    const key = keyName(property);
    if (!value || key === null) continue;
    if (WHOLE.test(key)) found.push({ name: key, node: property, value });
    // { key: "X-Frame-Options", value: … }
    const isName = (key === "key" || key === "name") && value.type === "StringLiteral";
    if (!isName || !WHOLE.test(word(value, "value"))) continue;
    const sibling = children(property.parent, "properties").find((one) => keyName(one) === "value");
    const text = sibling ? child(sibling, "value") : null;
    if (text) found.push({ name: word(value, "value"), node: property, value: text });
  }
  for (const { args: [first, second], node, callee } of callsIn(module)) {
    if (first?.type !== "StringLiteral" || !second) continue;
    const isSetter = /(^|\.)(set|append|setHeader|header|setResponseHeader)$/.test(callee);
    if (isSetter && WHOLE.test(word(first, "value"))) {
      found.push({ name: word(first, "value"), node, value: second });
    }
  }
  return found;
}

/** What helmet sets: all of them, save what is switched off. */
function helmets(repository: Repository, module: Module, isWired: boolean): WebHeader[] {
  const all = scripts(repository);
  return callsIn(module).filter(({ callee }) => /^(helmet|secureHeaders)$/.test(callee)).flatMap(
    ({ args: [options], line, callee }) => {
      const [given] = options ? branches(options, module, all) : [];
      const value = given?.value;
      const own = value?.kind === "object" ? value.entries.get("contentSecurityPolicy") : undefined;
      const directives = own?.kind === "object" ? own.entries.get("directives") : undefined;
      const isOff = own?.kind === "other" && own.value === false;
      const header = (name: string, text: string) => ({
        name,
        values: [text],
        file: module.path,
        line,
        isWired,
      });
      const csp = directives?.kind === "object"
        ? [...directives.entries].map(([name, items]) =>
          `${name.replace(/[A-Z]/g, (one) => `-${one.toLowerCase()}`)} ${
            items.kind === "list" ? items.items.map(textOf).join(" ") : textOf(items)
          }`
        ).join("; ")
        : own === undefined && callee === "helmet"
        ? "default-src 'self'; script-src 'self'"
        : HOLE;
      return [
        ...(isOff || (callee !== "helmet" && own === undefined)
          ? []
          : [header("content-security-policy", csp)]),
        header("strict-transport-security", "max-age=15552000"),
        header("x-content-type-options", "nosniff"),
        header("x-frame-options", "SAMEORIGIN"),
        header("referrer-policy", "no-referrer"),
      ];
    },
  );
}

const TEXTS =
  /(^|\/)(vercel\.json|netlify\.toml|_headers|staticwebapp\.config\.json|firebase\.json|[^/]*Caddyfile[^/]*|[^/]*\.caddy|[^/]*nginx[^/]*|[^/]+\.conf(\.template|\.j2)?|index\.html|[^/]*compose[^/]*\.ya?ml|[^/]*traefik[^/]*\.ya?ml)$/i;

/** Headers in configurations that are no code, a line each. */
function textHeaders(file: string, text: string): WebHeader[] {
  const found: WebHeader[] = [];
  const lines = text.split("\n");
  lines.forEach((raw, index) => {
    if (raw.length > 20_000 || /^\s*(#|\/\/|-[A-Z])/.test(raw)) return;
    const at = HEADER.exec(raw);
    if (!at) return;
    const rest = raw.slice(at.index + at[0].length).replace(/^["'\s:=,]+/, "");
    // `"key": "…",` and its value on the next line.
    const next = /^["'}\s]*$/.test(rest) || /^"?value"?/.test(rest)
      ? `${rest} ${lines[index + 1] ?? ""}`
      : rest;
    const value = next.replace(/^.*?("?value"?|content)\s*[:=]\s*/, "").replace(
      /^["']|["'\s,;}]*(always)?[;"'\s,}/>]*$/g,
      "",
    );
    found.push({
      name: at[0].toLowerCase(),
      values: [value],
      file,
      line: index + 1,
      isWired: true,
    });
  });
  if (/stsSeconds/.test(text)) {
    found.push({ name: "strict-transport-security", values: ["…"], file, line: 1, isWired: true });
  }
  return found;
}

/** Where an absent header would be set: Next's config, or the manifest. */
export function webHome(repository: Repository): string {
  const config = repository.matching(/(^|\/)next\.config\.[cm]?[jt]s$/).find(({ context }) =>
    context !== "test"
  );
  return config?.path ?? webManifests(repository)[0]?.path ?? "package.json";
}

/** Whether anything in the repository could set a header: without one, a host or a CDN may. */
export function hasHeaderHome(repository: Repository): boolean {
  return webManifests(repository).some(({ isNext }) => isNext) ||
    repository.matching(
        /(^|\/)(vercel\.json|netlify\.toml|_headers|[^/]*Caddyfile[^/]*|[^/]*nginx[^/]*\.conf[^/]*)$/i,
      ).length > 0;
}

export function at(
  { file, line }: { file: string; line: number },
): Pick<Evidence, "file" | "line"> {
  return { file, line };
}
