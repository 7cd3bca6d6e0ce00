import { gap, strength, unknown, weakness } from "../evidence.ts";
import {
  environmentOf,
  lineage,
  root,
  type Stage,
  unreadDockerfiles,
} from "../models/dockerfiles.ts";
import { type Image, productionImages } from "../models/images.ts";
import { type Command, readShell } from "../models/shell.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Compilers and test tools in production are room for an attacker and weight on every rollout. */
export const leanImage: Rule = {
  id: "WEB-09",
  name: "lean-image",
  area: "deployment",
  severity: "p2",
  confidence: "medium",
  section: 3,
  title: "Node images are built in stages, and the last has no development dependencies",
  remedy: "build in one stage; copy the standalone output, or install with --omit=dev, in the next",
  check(repository) {
    const evidence = productionImages(repository).flatMap((image) => judge(repository, image));
    for (const { file, reason } of unreadDockerfiles(repository)) {
      evidence.push(unknown(file, null, `it can't be read: ${reason}`));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no image of Node" });
  },
};

type Install = { line: number; isLean: boolean };

function judge(repository: Repository, { stage, dockerfile }: Image): Evidence[] {
  const path = dockerfile.path;
  const installs = new Map(dockerfile.stages.map((one) => [one, installsOf(repository, one)]));
  const all = [...installs.values()].flat();
  if (all.length === 0) return [];
  const final = lineage(stage);
  const copies = final.flatMap(({ instructions }) => instructions).filter(({ keyword, flags }) =>
    keyword === "COPY" && flags.some(({ name }) => name === "from")
  );
  const [fat] = final.flatMap((one) => installs.get(one) ?? []).toReversed();
  const more = { isProduction: true };
  if (fat) {
    const isPruned = final.some((one) => prunes(repository, one));
    if (fat.isLean || isPruned) {
      return [strength(path, fat.line, "the final stage has no development dependencies")];
    }
    const message = dockerfile.stages.length === 1
      ? "one stage builds and runs, with its development dependencies"
      : "the final stage installs development dependencies";
    return [gap(path, fat.line, message, more)];
  }
  const base = root(stage).base.image ?? "";
  const standalone = copies.find((one) =>
    /\.next\/standalone|\.output|\/dist|\/build|\/out\b/.test(one.arguments)
  );
  const modules = copies.find((one) => /node_modules/.test(one.arguments)) ??
    copies.find((one) => /^(\/app|\/usr\/src\/app|\.|\/src)\/?\s/.test(one.arguments));
  if (modules) {
    const from = modules.flags.find(({ name }) => name === "from")?.value ?? "";
    const source = dockerfile.stages.find(({ alias, index }) =>
      alias === from.toLowerCase() || String(index) === from
    );
    const chain = source ? lineage(source) : [];
    const own = chain.flatMap((one) => installs.get(one) ?? []);
    const isPruned = chain.some((one) => prunes(repository, one));
    if (!source || own.length === 0) {
      return [unknown(path, modules.line, "where its node_modules come from can't be told")];
    }
    if (isPruned || own.at(-1)?.isLean) {
      return [strength(path, modules.line, "the node_modules it copies are without development's")];
    }
    return [weakness(path, modules.line, "the node_modules it copies hold development's", more)];
  }
  if (standalone || /(^|\/)(nginx|caddy|httpd)/.test(base)) {
    return [
      strength(path, standalone?.line ?? stage.line, "the final stage holds what was built alone"),
    ];
  }
  return [unknown(path, stage.line, "what its final stage holds can't be told")];
}

function commands(repository: Repository, stage: Stage): Command[] {
  return stage.instructions.flatMap(({ keyword, arguments: text, exec, heredocs, line }) => {
    if (keyword !== "RUN") return [];
    const scripts = heredocs.length > 0
      ? heredocs.map((one) => one.text)
      : [exec ? exec.join(" ") : text];
    return scripts.flatMap((one) => readShell(repository.parsers, one, () => line).commands);
  });
}

function installsOf(repository: Repository, stage: Stage): Install[] {
  const isProduction = environmentOf(stage).get("NODE_ENV")?.value === "production";
  return commands(repository, stage).flatMap(({ program, args, line, assignments }) => {
    const verb = args.find((one) => !one.startsWith("-"));
    const isInstall = (program === "npm" && /^(ci|install|i|clean-install)$/.test(verb ?? "")) ||
      (/^(pnpm|bun)$/.test(program) && /^(install|i)$/.test(verb ?? "")) ||
      (program === "yarn" && (verb === undefined || verb === "install" || verb === "workspaces"));
    if (!isInstall || args.some((one) => /^(-g|--global)$/.test(one))) return [];
    // `npm install pm2` installs a tool.
    if (
      program === "npm" && /^i/.test(verb ?? "") &&
      args.filter((one) => !one.startsWith("-")).length > 1
    ) return [];
    const isLean = args.some((one) =>
      /^(--omit[= ]?dev|--omit=dev|--production|--prod|-P|--only=prod(uction)?|--omit)$/.test(one)
    ) ||
      (isProduction && !args.some((one) =>
        /--include=dev|--production=false|--prod=false/.test(one)
      )) ||
      assignments.some(({ name, value }) => name === "NODE_ENV" && value?.value === "production");
    return [{ line, isLean }];
  });
}

function prunes(repository: Repository, stage: Stage): boolean {
  return commands(repository, stage).some(({ program, args }) =>
    (/^(npm|pnpm)$/.test(program) && args.includes("prune")) ||
    (program === "pnpm" && args.includes("deploy")) ||
    (program === "yarn" && args.includes("focus") && args.some((one) => /--production/.test(one)))
  );
}
