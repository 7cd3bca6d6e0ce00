import { gap, strength, unknown, weakness } from "../evidence.ts";
import type { Stage } from "../models/dockerfiles.ts";
import { root } from "../models/dockerfiles.ts";
import type { Service } from "../models/compose-service.ts";
import { productionImages } from "../models/images.ts";
import { running } from "../models/running.ts";
import { startOf } from "../models/start.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Without the signal there is no graceful end: after ten seconds the process is killed with its requests. */
export const signals: Rule = {
  id: "DEP-08",
  name: "signals",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "SIGTERM reaches the server: it is the container's own process, or is handed the signal",
  remedy: "write CMD as a JSON array, and end a start script with `exec`",
  check(repository) {
    const evidence: Evidence[] = [];
    const seen = new Set<string>();
    const add = (one: Evidence | null) => {
      if (!one || seen.has(`${one.file}:${one.line}`)) return;
      seen.add(`${one.file}:${one.line}`);
      evidence.push(one);
    };
    const services = running(repository);
    for (const { service, stage, isOneShot, isBuilt } of services) {
      if (!isOneShot && isBuilt) add(judge(repository, stage, service));
    }
    const covered = new Set(services.map(({ stage }) => stage));
    for (const { stage } of productionImages(repository)) {
      if (!covered.has(stage)) add(judge(repository, stage, null));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no image is built here" });
  },
};

/** Images whose own entry point hands signals on. */
const KNOWN =
  /(^|\/)(nginx|caddy|httpd|traefik|haproxy|postgres|redis|mysql|mariadb|mongo)(:|@|$|-)/i;

function judge(
  repository: Repository,
  stage: Stage | null,
  service: Service | null,
): Evidence | null {
  const start = startOf(repository, { stage, service });
  if (!start) {
    if (!stage) return null;
    const base = root(stage).base.image ?? "";
    return KNOWN.test(base)
      ? strength(stage.path, stage.line, `${base} hands signals on`)
      : unknown(stage.path, stage.line, "neither CMD nor ENTRYPOINT: the base image starts it");
  }
  const { file, line, takesSignals, why, hasInit } = start;
  if (takesSignals === null) return unknown(file, line, "what it starts is not in the repository");
  if (takesSignals || !why) {
    return strength(file, line, "the server is the container's own process");
  }
  const more = { isProduction: true };
  if (hasInit && why.isMild) return strength(file, line, "an init hands signals on");
  if (hasInit) {
    const message = `${why.message}; the init hands the signal to the shell alone`;
    return weakness(why.file, why.line, message, { ...more, severity: "p2" });
  }
  // One command alone: some shells step aside for it by themselves, some don't.
  if (why.isMild) return gap(why.file, why.line, why.message, { ...more, severity: "p2" });
  return gap(why.file, why.line, why.message, more);
}
