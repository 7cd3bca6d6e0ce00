import { gap, strength, unknown, weakness } from "../evidence.ts";
import { layered, value } from "../models/compose-service.ts";
import { containers } from "../models/kubernetes.ts";
import { productionImages } from "../models/images.ts";
import {
  healthOf,
  type Running,
  running,
  unreadCompose,
  withoutCompose,
} from "../models/running.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { at, items, text } from "../yaml-node.ts";

/** A process that hangs is up for whoever only asks whether it runs. */
export const healthchecks: Rule = {
  id: "DEP-03",
  name: "healthchecks",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "Every long-running service has a health check",
  remedy:
    "give each service a `healthcheck` in compose, its image a HEALTHCHECK, or its pod probes",
  check(repository) {
    const evidence = running(repository).filter(({ isOneShot }) => !isOneShot).map(judge);
    evidence.push(
      ...ofKubernetes(repository),
      ...ofPlatforms(repository),
      ...unreadCompose(repository),
    );
    const otherwise = withoutCompose(repository, { asks: true });
    if (evidence.length === 0) {
      for (const { stage } of productionImages(repository)) {
        const health = healthOf(stage);
        if (health && !health.isNone) {
          evidence.push(strength(health.file, health.line, "the image has a HEALTHCHECK"));
        } else {evidence.push(
            unknown(stage.path, stage.line, "no HEALTHCHECK, and what runs it isn't here"),
          );}
      }
    }
    return conclude(evidence, otherwise);
  },
};

function judge({ service, kind, stage, isBuilt }: Running): Evidence {
  const more = { isProduction: true };
  const { name, file, line } = service;
  const off = value(service, "healthcheck", "disable");
  const test = value(service, "healthcheck", "test");
  const isNone = text(items(test?.node ?? null)[0] ?? null) === "NONE";
  if (text(off?.node ?? null) === "true" || isNone) {
    const place = off ?? test;
    return gap(
      place?.file ?? file,
      place?.node.line ?? line,
      `${name} turns its health check off`,
      more,
    );
  }
  if (test) return strength(test.file, test.node.line, `${name} has a health check`);
  const health = healthOf(stage);
  if (health && !health.isNone) {
    return strength(health.file, health.line, `the image of ${name} has a HEALTHCHECK`);
  }
  if (kind === "proxy" || (kind === "application" && !isBuilt)) {
    const message = `${name} has no health check, unless its image brings one`;
    return isBuilt || kind === "proxy"
      ? weakness(file, line, message, { ...more, severity: "p2" })
      : unknown(file, line, message);
  }
  if (layered(service, "healthcheck").length > 0) {
    return unknown(file, line, `the health check of ${name} has no test of its own`);
  }
  return gap(file, line, `${name} has no health check`, more);
}

function ofKubernetes(repository: Repository): Evidence[] {
  return containers(repository).filter(({ isInit }) => !isInit).map((one) => {
    if (one.hasReadiness) return strength(one.file, one.line, `${one.name} has probes`);
    return one.hasLiveness
      ? weakness(one.file, one.line, `${one.name} has no readiness probe`)
      : gap(one.file, one.line, `${one.name} has no probe`);
  });
}

/** What Fly, Render and Railway say plainly. */
function ofPlatforms(repository: Repository): Evidence[] {
  const evidence: Evidence[] = [];
  const of = (file: string, whole: string | null, pattern: RegExp) => {
    const found = whole === null ? -1 : whole.split("\n").findIndex((line) => pattern.test(line));
    if (found >= 0) evidence.push(strength(file, found + 1, "the platform checks its health"));
    else evidence.push(gap(file, null, "the platform is given no health check"));
  };
  for (
    const { path, text: whole, context } of repository.matching(
      /(^|\/)(fly(\.[\w-]+)?\.toml|railway\.(toml|json))$/,
    )
  ) {
    if (context === "test" || context === "docs") continue;
    of(
      path,
      whole,
      /^\s*\[\[?(http_service\.checks|services\.(http|tcp)_checks|checks[.\]])|healthcheckPath/,
    );
  }
  for (const file of repository.matching(/(^|\/)render\.ya?ml$/)) {
    const [root] = repository.parse(file, repository.parsers.yaml) ?? [];
    const services = at(root ?? null, "services");
    for (const one of services?.kind === "seq" ? services.items : []) {
      const type = text(at(one, "type"));
      if (type !== "web" || text(at(one, "runtime") ?? at(one, "env")) === "static") continue;
      const path = at(one, "healthCheckPath");
      const name = text(at(one, "name")) ?? "a service";
      evidence.push(
        path
          ? strength(file.path, path.line, `Render checks the health of ${name}`)
          : gap(file.path, one.line, `Render checks no path of ${name}`),
      );
    }
  }
  return evidence;
}
