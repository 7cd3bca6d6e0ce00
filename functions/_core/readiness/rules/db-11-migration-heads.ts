import { counted } from "../../counted.ts";
import { type PythonModule, pythonOf } from "../models/python.ts";
import type { PythonNode } from "../parsers.ts";
import { stringOf } from "../python-node.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Two heads are a deploy that stops, or two databases that differ. */
export const migrationHeads: Rule = {
  id: "DB-11",
  name: "migration-heads",
  area: "db",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "The migrations have one head, and none lacks its parent",
  remedy: "merge the heads (alembic merge heads), and bring back the revision that is missing",
  async check(repository) {
    const { modules } = await pythonOf(repository);
    const evidence: Evidence[] = [];
    const trees = new Map<string, Revision[]>();
    for (const module of modules) {
      if (!module.constants.has("down_revision") || !module.constants.has("revision")) continue;
      const folder = module.path.slice(0, Math.max(0, module.path.lastIndexOf("/")));
      const one = revisionOf(module);
      if (one) trees.set(folder, [...trees.get(folder) ?? [], one]);
      else {
        evidence.push({
          kind: "unknown",
          file: module.path,
          line: module.constants.get("down_revision")?.line ?? 1,
          message: "its revisions are not written out",
        });
      }
    }
    const ids = new Set([...trees.values()].flat().map(({ id }) => id));
    for (const [folder, revisions] of trees) evidence.push(...headsOf(folder, revisions, ids));
    return conclude(evidence, { status: "not-applicable", summary: "no migrations of Alembic" });
  },
};

type Revision = { id: string; parents: string[]; hasLabel: boolean; path: string; line: number };

function revisionOf(module: PythonModule): Revision | null {
  const id = stringOf(module.constants.get("revision")?.value ?? null);
  const down = module.constants.get("down_revision");
  const parents = down?.value ? parentsOf(down.value) : null;
  if (id === null || parents === null || !down) return null;
  const label = module.constants.get("branch_labels")?.value;
  return {
    id,
    parents,
    hasLabel: !!label && label.type !== "none",
    path: module.path,
    line: down.line,
  };
}

function parentsOf(node: PythonNode): string[] | null {
  if (node.type === "none") return [];
  const text = stringOf(node);
  if (text !== null) return [text];
  if (!/^(tuple|list|set|parenthesized_expression)$/.test(node.type)) return null;
  const parents = node.children.map(stringOf);
  return parents.includes(null) ? null : parents.filter((one) => one !== null);
}

function headsOf(
  folder: string,
  revisions: readonly Revision[],
  ids: ReadonlySet<string>,
): Evidence[] {
  const evidence: Evidence[] = [];
  // An abbreviated parent is one too.
  const known = (id: string) =>
    ids.has(id) || (id.length >= 4 && [...ids].some((one) => one.startsWith(id)));
  const taken = new Map<string, Revision>();
  for (const one of revisions) {
    const twin = taken.get(one.id);
    if (twin) evidence.push(gap(one, `revision ${one.id} is also that of ${twin.path}`));
    taken.set(one.id, one);
    for (const parent of one.parents) {
      if (!known(parent)) evidence.push(gap(one, `its parent ${parent} is not in the repository`));
    }
  }
  const parents = new Set(revisions.flatMap((one) => one.parents));
  const heads = revisions.filter(({ id }) => ![...parents].some((parent) => id.startsWith(parent)));
  const hasBranches = revisions.some(({ hasLabel }) => hasLabel);
  if (heads.length > 1) {
    const list = heads.map(({ id }) => id).join(", ").slice(0, 200);
    for (const one of heads) {
      evidence.push(
        hasBranches
          ? {
            kind: "unknown",
            file: one.path,
            line: one.line,
            message: `one of ${heads.length} heads, of labelled branches`,
          }
          : gap(one, `one of ${heads.length} heads in ${folder}: ${list}`),
      );
    }
  }
  const [head] = heads;
  if (evidence.length === 0 && head) {
    evidence.push({
      kind: "strength",
      file: head.path,
      line: head.line,
      message: `${counted(revisions.length, "revision")}, one head (${head.id})`,
    });
  }
  if (heads.length === 0) {
    const [first] = revisions;
    if (first) evidence.push(gap(first, "the revisions run in a circle"));
  }
  return evidence;
}

function gap({ path, line }: Revision, message: string): Evidence {
  return { kind: "gap", file: path, line, message };
}
