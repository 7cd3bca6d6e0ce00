import type { Report } from "./finding.ts";
import { type Module, scopeAt } from "./module.ts";
import { placeOf } from "./place.ts";
import { at, type Program } from "./program.ts";
import { child, isCall, isMember, keyName, type Node, quasis, word } from "./syntax.ts";

/** A parameter that is a context: a custom setting (`app.tenant`), or who one is. */
const SESSION_SET =
  /(?:^|;)\s*set\s+(?:session\s+)?(?!local\b)("?[a-z_][\w$]*"?\."?[\w$.]+"?\s*(?:=|\bto\b)|role\s+(?!none\b)|session\s+authorization\b)/i;
const SET_CONFIG =
  /\bset_config\s*\(\s*('(?:[^']|'')*'|[^,()]+)\s*,\s*((?:[^,()]|\([^()]*\))*),\s*(false|'f(?:alse)?'|'off'|0)\b/i;

/** Rule session-context, in SQL that code sends. */
export function checkContext(program: Program): Report[] {
  const reports: Report[] = [];
  for (const module of program.modules) {
    if (placeOf(module.path) === "test") continue;
    for (const node of module.strings) {
      if (!isSent(module, node)) continue;
      const found = sessionContext(textOf(node));
      if (found) reports.push(place(module, node, found));
    }
  }
  return reports;
}

/**
 * What a statement sets for the whole session, null when nothing.
 *
 * @example
 * sessionContext("set app.tenant = 'a'"); // "app.tenant"
 * sessionContext("set local app.tenant = 'a'"); // null
 */
export function sessionContext(sql: string): string | null {
  if (!/\bset/i.test(sql)) return null;
  const plain = sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, " ");
  const call = SET_CONFIG.exec(plain);
  if (call?.[1]) {
    const name = call[1].replace(/'/g, "").trim();
    // Settings without a dot are the server's own: timeouts, search_path.
    if (name.includes(".") || /^(role|\$\d+)$/.test(name)) return name;
  }
  const set = SESSION_SET.exec(plain);
  return set?.[1]
    ? set[1].replace(/\s*(=|\bto)$/i, "").replace(/"/g, "").trim().toLowerCase()
    : null;
}

function place(module: Module, node: Node, name: string): Report {
  return at(module, node, "lint/session-context", `"${name}" is set for the whole session`);
}

function textOf(node: Node): string {
  return node.type === "StringLiteral" ? word(node, "value") : quasis(node).join("$1");
}

const RUNS =
  /^(query|unsafe|execute|exec|raw|sql|simple|\$?(query|execute)Raw(Unsafe)?|queryObject|queryArray|run)$/;
const THROUGH = new Set([
  ...["BinaryExpression", "ConditionalExpression", "ObjectProperty", "ObjectExpression"],
  ...["TemplateLiteral", "LogicalExpression", "TSAsExpression"],
]);

/** Whether a text goes to a database: tagged, the argument of something that runs SQL, or in a name that is. */
function isSent(module: Module, node: Node): boolean {
  for (let at = node; at.parent; at = at.parent) {
    const { parent } = at;
    if (parent.type === "TaggedTemplateExpression") return true;
    if (isCall(parent)) return isRunner(parent, at);
    if (parent.type === "VariableDeclarator") {
      const id = child(parent, "id");
      const binding = id ? scopeAt(module, id).find(word(id, "name")) : null;
      return binding?.references.some((one) => isCall(one.parent) && isRunner(one.parent, one)) ??
        false;
    }
    if (!THROUGH.has(parent.type)) return false;
  }
  return false;
}

function isRunner(call: Node, argument: Node): boolean {
  const callee = child(call, "callee");
  if (callee === argument) return false;
  const name = isMember(callee) ? keyName(callee, "property") : word(callee, "name");
  return RUNS.test(name ?? "");
}
