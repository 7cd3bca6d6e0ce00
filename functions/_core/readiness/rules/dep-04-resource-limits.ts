import { gap, strength } from "../evidence.ts";
import { textAt, value } from "../models/compose-service.ts";
import { containers } from "../models/kubernetes.ts";
import { type Running, running, unreadCompose, withoutCompose } from "../models/running.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const PATHS = [
  ["deploy", "resources", "limits", "memory"],
  ["deploy", "resources", "limits", "cpus"],
  ["mem_limit"],
  ["cpus"],
  ["cpu_quota"],
] as const;

/** One leak must not take the neighbours' memory. */
export const resourceLimits: Rule = {
  id: "DEP-04",
  name: "resource-limits",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "Every long-running service has a limit of memory or CPU",
  remedy: "set `deploy.resources.limits` (memory first) for each service",
  check(repository) {
    const evidence = running(repository).filter(({ isOneShot }) => !isOneShot).map(judge);
    for (const { isInit, hasLimits, file, line, name } of containers(repository)) {
      if (isInit) continue;
      evidence.push(
        hasLimits
          ? strength(file, line, `${name} has limits`)
          : gap(file, line, `${name} has no limits`),
      );
    }
    evidence.push(...unreadCompose(repository));
    return conclude(evidence, withoutCompose(repository, { asks: true }));
  },
};

function judge({ service }: Running): Evidence {
  const { name, file, line } = service;
  for (const path of PATHS) {
    const [first, ...rest] = path;
    const found = value(service, first, ...rest);
    if (!found) continue;
    const written = textAt(service, first, ...rest);
    // Zero is compose's word for none.
    if (written !== null && /^0+(\.0+)?[a-z]*$/i.test(written)) continue;
    return strength(found.file, found.node.line, `${name} is limited`);
  }
  return gap(file, line, `${name} has no limit`, { isProduction: true });
}
