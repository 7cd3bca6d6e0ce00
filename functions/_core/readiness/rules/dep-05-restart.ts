import { gap, strength, weakness } from "../evidence.ts";
import { textAt, value } from "../models/compose-service.ts";
import { type Running, running, unreadCompose, withoutCompose } from "../models/running.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** After a crash or a reboot at night, somebody or something must start it again. */
export const restart: Rule = {
  id: "DEP-05",
  name: "restart",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "Every long-running service is started again when it ends",
  remedy: "set `restart: unless-stopped` for each service that is to stay up",
  check(repository) {
    const evidence = running(repository).filter(({ isOneShot }) => !isOneShot).map(judge);
    evidence.push(...unreadCompose(repository));
    // Other platforms start again what ends: the question is compose's alone.
    return conclude(evidence, withoutCompose(repository, { asks: false }));
  },
};

function judge({ service, project }: Running): Evidence {
  const more = { isProduction: true };
  const { name, file, line } = service;
  const own = value(service, "restart");
  const policy = value(service, "deploy", "restart_policy", "condition") ??
    value(service, "deploy", "restart_policy");
  const place = own ?? policy;
  const written = own
    ? textAt(service, "restart")
    : textAt(service, "deploy", "restart_policy", "condition");
  if (!place) {
    if (project.isSwarm) return strength(file, line, `a swarm starts ${name} again by itself`);
    return gap(file, line, `${name} has no restart policy`, more);
  }
  const at = [place.file, place.node.line] as const;
  if (written === "no" || written === "false" || written === "none") {
    return gap(...at, `${name} is not started again`, more);
  }
  if (written?.startsWith("on-failure")) {
    return weakness(...at, `${name} is not started again after a reboot: on-failure`, {
      ...more,
      severity: "p2",
    });
  }
  return strength(...at, `${name} is started again`);
}
