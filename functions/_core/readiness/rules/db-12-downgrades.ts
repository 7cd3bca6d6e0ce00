import { child, children, keyName, type Node, word } from "../../lint/syntax.ts";
import { pythonOf } from "../models/python.ts";
import { lineOf, scripts } from "../models/scripts.ts";
import type { PythonNode } from "../parsers.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const FORWARD =
  /forward[- ]only|roll(ing)?[- ]forward|no (downgrades|down[- ]migrations)|(downgrades?|down migrations) are not (used|supported)/i;

/** A deploy that went wrong at night is rolled back by what the migration says, or not at all. */
export const downgrades: Rule = {
  id: "DB-12",
  name: "downgrades",
  area: "db",
  severity: "p2",
  confidence: "medium",
  section: 5,
  title: "Migrations can be taken back, or the way forward is written down",
  remedy:
    "write downgrade(), or document that migrations go forward only and how a bad one is mended",
  async check(repository) {
    const found = [...await ofAlembic(repository), ...ofScripts(repository)];
    const empty = found.filter(({ isEmpty }) => isEmpty);
    const evidence: Evidence[] = [];
    const [first] = found;
    const document = repository.matching(/\.(md|mdx|rst|adoc)$/).find(({ text }) =>
      text && FORWARD.test(text)
    );
    if (empty.length > 0 && document) {
      const line = (document.text ?? "").split("\n").findIndex((text) => FORWARD.test(text)) + 1;
      evidence.push({
        kind: "strength",
        file: document.path,
        line: Math.max(1, line),
        message: "migrations going forward only is written down",
      });
    } else {
      for (const { file, line } of empty.slice(0, 20)) {
        evidence.push({
          kind: "weakness",
          file,
          line,
          message: `nothing takes it back: one of ${empty.length} in ${found.length} migrations`,
        });
      }
    }
    if (empty.length === 0 && first) {
      evidence.push({
        kind: "strength",
        file: first.file,
        line: first.line,
        message: `all ${found.length} migrations can be taken back`,
      });
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no migrations that can have a way back",
    });
  },
};

type Down = { file: string; line: number; isEmpty: boolean };

async function ofAlembic(repository: Repository): Promise<Down[]> {
  const { modules } = await pythonOf(repository);
  return modules.flatMap((module): Down[] => {
    if (!module.constants.has("down_revision")) return [];
    const up = module.functions.find(({ name }) => name === "upgrade");
    const down = module.functions.find(({ name }) => name === "downgrade");
    // A merge changes nothing, and has nothing to take back.
    if (!up || doesNothing(up.body)) return [];
    return [{
      file: module.path,
      line: down?.line ?? up.line,
      isEmpty: !down || doesNothing(down.body),
    }];
  });
}

function doesNothing(body: PythonNode): boolean {
  return body.children.every((one) =>
    one.type === "pass_statement" || one.type === "raise_statement" ||
    one.type === "return_statement" ||
    (one.type === "expression_statement" && /^(string|ellipsis)$/.test(one.children[0]?.type ?? ""))
  );
}

/** `down` of Knex, TypeORM, Sequelize and node-pg-migrate. */
function ofScripts(repository: Repository): Down[] {
  const all = scripts(repository);
  return all.files.flatMap(({ path, context }): Down[] => {
    if (context === "test" || !/(^|\/)migrations?\/[^/]*\d[^/]*\.[cm]?[jt]s$/.test(path)) return [];
    const module = all.at(path);
    if (!module) return [];
    let down: Node | null = null;
    let hasUp = false;
    const see = (name: string | null, node: Node | null) => {
      if (name === "up") hasUp = true;
      if (name === "down") down = node;
    };
    for (const [node] of module.scopes) {
      if (/Method$/.test(node.type)) see(keyName(node), node);
      if (node.type === "FunctionDeclaration") see(word(child(node, "id"), "name"), node);
    }
    for (const { target, value } of module.assignments) see(keyName(target, "property"), value);
    for (const property of module.properties) see(keyName(property), child(property, "value"));
    for (const [name, one] of module.exports) {
      if (one.from === "here") see(name, one.value);
      if (one.from === "binding" && (name === "up" || name === "down")) {
        see(name, module.scope.find(one.name)?.init ?? null);
      }
    }
    if (!hasUp) return [];
    const body = child(down, "body");
    const isEmpty = down === null ||
      (body?.type === "BlockStatement" &&
        children(body, "body").every(({ type }) =>
          type === "ThrowStatement" || type === "ReturnStatement" || type === "EmptyStatement"
        ) &&
        !children(body, "body").some((one) =>
          one.type === "ReturnStatement" && child(one, "argument")
        ));
    return [{ file: path, line: down === null ? 1 : lineOf(module, down), isEmpty }];
  });
}
