import { child, keyName, type Node, parts } from "../../lint/syntax.ts";
import { gap, strength, unknown } from "../evidence.ts";
import { dockerfiles } from "../models/dockerfiles.ts";
import { images } from "../models/images.ts";
import { branches, textOf } from "../models/script-values.ts";
import { lineOf, scripts } from "../models/scripts.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const CONFIG = /(^|\/)next\.config\.([cm]?[jt]s)$/;

/** Without it the build makes no such folder, and the image fails where it is built, or keeps an old one. */
export const standalone: Rule = {
  id: "CFG-07",
  name: "standalone",
  area: "config",
  severity: "p1",
  confidence: "high",
  section: 3,
  title: "An image that copies Next's standalone output has a config that makes one",
  remedy: 'set `output: "standalone"` in next.config',
  check(repository) {
    const evidence: Evidence[] = [];
    for (const { path, stages } of dockerfiles(repository)) {
      const copy = stages.flatMap(({ instructions }) => instructions).find((
        { keyword, arguments: text },
      ) => keyword === "COPY" && text.includes(".next/standalone"));
      if (!copy) continue;
      const config = configFor(repository, path);
      evidence.push(
        config
          ? judge(repository, config, { path, line: copy.line })
          : unknown(path, copy.line, "copies .next/standalone, and no next.config is beside it"),
      );
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no image copies Next's standalone output",
    });
  },
};

/** The config in the folder that is built: the context's, the Dockerfile's, or the only one. */
function configFor(repository: Repository, path: string): string | null {
  const all = repository.matching(CONFIG).filter(({ context }) =>
    context !== "test" && context !== "docs"
  )
    .map((file) => file.path);
  const folder = (one: string) => one.split("/").slice(0, -1).join("/");
  const context = images(repository).find(({ dockerfile }) => dockerfile.path === path)?.context;
  return all.find((one) => folder(one) === context) ??
    all.find((one) => folder(one) === folder(path)) ??
    (all.length === 1 ? all[0] ?? null : null);
}

function judge(
  repository: Repository,
  config: string,
  copy: { path: string; line: number },
): Evidence {
  const all = scripts(repository);
  const module = all.at(config);
  if (!module) return unknown(config, null, "it can't be read");
  let spreads = false;
  const stack: Node[] = [module.program];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (node.type === "SpreadElement") spreads = true;
    const value = child(node, "value") ??
      (node.type === "AssignmentExpression" ? child(node, "right") : null);
    const name = node.type === "ObjectProperty" || node.type === "Property"
      ? keyName(node)
      : node.type === "AssignmentExpression"
      ? keyName(child(node, "left") ?? node, "property")
      : null;
    if (name === "output" && value) {
      const found = branches(value, module, all).map((one) => textOf(one.value));
      const line = lineOf(module, node);
      if (found.length > 0 && found.every((one) => one === "standalone")) {
        return strength(config, line, "output is standalone");
      }
      if (found.includes("standalone") || found.some((one) => one.includes("…"))) {
        return unknown(config, line, "output is standalone under a condition");
      }
      return gap(
        config,
        line,
        `${copy.path}:${copy.line} copies .next/standalone, and output is another`,
      );
    }
    stack.push(...parts(node));
  }
  if (spreads) return unknown(config, null, "it spreads a config from elsewhere");
  const message = `copies .next/standalone, and ${config} has no output: "standalone"`;
  return gap(copy.path, copy.line, message);
}
