import type { YamlNode } from "../parsers.ts";
import { at, entries, text } from "../yaml-node.ts";

/** What a `uses:` names. */
export type Uses = {
  /** As written. */
  text: string;
  line: number;
  /** What stands behind `#` on its line: the version, where it is pinned. */
  comment: string | null;
  kind: "action" | "workflow" | "local" | "docker";
  /** `owner/repository` in small letters, empty for local and docker. */
  repository: string;
  /** The folder or file in it, or the local path without `./`. */
  path: string;
  ref: string;
  /** Whether it can't change under the caller: a whole commit, a digest, or a file of this repository. */
  isPinned: boolean;
};

/** What a token may do: `all` for `read-all` and `write-all`, else the scopes that are named. */
export type Permissions = {
  line: number;
  all: "read" | "write" | null;
  scopes: Map<string, { access: string; line: number }>;
};

/** A name and what it is set to, with its line. */
export type Setting = {
  name: string;
  value: string;
  line: number;
  endLine: number;
  node: YamlNode;
};

/**
 * Read a `uses:`.
 *
 * @example
 * readUses(node)?.repository; // "actions/checkout"
 */
export function readUses(node: YamlNode | null): Uses | null {
  const written = text(node)?.trim();
  if (!node || !written) return null;
  const comment = node.comment ?? null;
  const base = { text: written, line: node.line, comment, repository: "", path: "", ref: "" };
  if (written.startsWith("./") || written.startsWith("../")) {
    const path = written.replace(/^\.\/+/, "").replace(/\/+$/, "");
    return { ...base, kind: "local", path, isPinned: true };
  }
  if (written.startsWith("docker://")) {
    const image = written.slice("docker://".length);
    return { ...base, kind: "docker", path: image, isPinned: /@sha256:[0-9a-f]{64}$/.test(image) };
  }
  const sign = written.lastIndexOf("@");
  const name = sign < 0 ? written : written.slice(0, sign);
  const ref = sign < 0 ? "" : written.slice(sign + 1);
  const [owner = "", repository = "", ...path] = name.split("/");
  const inside = path.join("/");
  return {
    ...base,
    kind: /^\.github\/workflows\/[^/]+\.ya?ml$/.test(inside) ? "workflow" : "action",
    repository: `${owner}/${repository}`.toLowerCase(),
    path: inside,
    ref,
    isPinned: /^[0-9a-f]{40}$/i.test(ref),
  };
}

/** Read `permissions:`; null where there is none. */
export function readPermissions(node: YamlNode | null): Permissions | null {
  if (!node) return null;
  const word = text(node);
  const all = word === "write-all" ? "write" : word === "read-all" ? "read" : null;
  const scopes = new Map(
    entries(node).map(({ key, value, line }) => [key, { access: text(value) ?? "", line }]),
  );
  return { line: node.line, all, scopes };
}

/** The entries of `env:`, `with:` and `secrets:` as text. */
export function readSettings(node: YamlNode | null): Setting[] {
  return entries(node).map(({ key, line, value }) => ({
    ...{ name: key, value: text(value) ?? "", line, endLine: value.endLine, node: value },
  }));
}

/** The events that start a workflow. YAML 1.1 reads the key `on` as true. */
export function readTriggers(root: YamlNode): { name: string; line: number; node: YamlNode }[] {
  const node = at(root, "on") ?? at(root, "true");
  if (node?.kind === "map") {
    return node.entries.map(({ key, line, value }) => ({ name: key, line, node: value }));
  }
  const list = node?.kind === "seq" ? node.items : node ? [node] : [];
  return list.flatMap((one) => {
    const name = text(one);
    return name ? [{ name, line: one.line, node: one }] : [];
  });
}

/** What a `${{ … }}` holds: the text, and the contexts it reads as dotted names, in small letters. */
export type Expression = { text: string; contexts: string[]; offset: number };

/**
 * The expressions of a text. Strings in them are no contexts; an index becomes a part: `github.event['head_ref']`
 * is `github.event.head_ref`, an unknown one `*`.
 *
 * @example
 * expressionsOf("${{ github.event.issue.title || 'none' }}")[0]?.contexts; // ["github.event.issue.title"]
 */
export function expressionsOf(value: string): Expression[] {
  const found: Expression[] = [];
  for (let from = 0;;) {
    const start = value.indexOf("${{", from);
    const end = start < 0 ? -1 : value.indexOf("}}", start);
    if (end < 0) return found;
    const inner = value.slice(start + 3, Math.min(end, start + 3 + MOST_EXPRESSION));
    found.push({ text: inner.trim(), contexts: contextsOf(inner), offset: start });
    from = end + 2;
  }
}

/** The contexts of an expression without its braces, as `if:` has it. */
function contextsOf(expression: string): string[] {
  const contexts: string[] = [];
  let name = "";
  const flush = () => {
    if (name && !/^(true|false|null|nan|infinity)$/.test(name)) contexts.push(name);
    name = "";
  };
  for (const [token] of expression.matchAll(TOKENS)) {
    if (token.startsWith("'")) flush();
    else if (token.startsWith("[")) {
      const key = token.slice(1, -1).trim();
      if (name) name += `.${/^'[^']*'$/.test(key) ? key.slice(1, -1).toLowerCase() : "*"}`;
      if (name && /[a-z]/i.test(key) && !key.startsWith("'")) contexts.push(...contextsOf(key));
    } else if (token.startsWith(".")) {
      if (name) name += token.toLowerCase();
    } else if (token === "(") name = "";
    else if (/^[A-Za-z_]/.test(token)) {
      flush();
      name = token.toLowerCase();
    } else flush();
  }
  flush();
  return contexts;
}

/** Far more than people write; what stands behind it is not looked at. */
const MOST_EXPRESSION = 4_000;

const TOKENS = /'[^']*'|\[[^\]]*\]|\.(?:[A-Za-z_*][\w-]*|\*)|[A-Za-z_][\w-]*|\(|[^\s]/g;
