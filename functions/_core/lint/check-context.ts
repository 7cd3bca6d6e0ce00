import type { Report } from "./finding.ts";
import type { Module } from "./module.ts";
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
      if (!isSent(node)) continue;
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

/** Whether a text goes to a database: tagged with sql, or the argument of something that runs SQL. */
function isSent(node: Node): boolean {
  for (let at = node; at.parent; at = at.parent) {
    const { parent } = at;
    if (parent.type === "TaggedTemplateExpression") return true;
    if (isCall(parent)) {
      if (parent["callee"] === at) return false;
      const callee = child(parent, "callee");
      const name = isMember(callee) ? keyName(callee, "property") : word(callee, "name");
      return /^(query|unsafe|execute|exec|raw|sql|simple|\$?(query|execute)Raw(Unsafe)?|queryObject|queryArray|run)$/
        .test(name ?? "");
    }
    // A text in a variable is judged when it is a statement of its own.
    if (parent.type === "VariableDeclarator") return true;
    if (
      ![
        "BinaryExpression",
        "ConditionalExpression",
        "ObjectProperty",
        "ObjectExpression",
        "TemplateLiteral",
        "AssignmentExpression",
        "LogicalExpression",
        "TSAsExpression",
      ].includes(parent.type)
    ) return false;
  }
  return false;
}
