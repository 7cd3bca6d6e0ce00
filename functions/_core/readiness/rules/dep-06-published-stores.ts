import { gap, strength, unknown } from "../evidence.ts";
import { isOpen, ports, textAt } from "../models/compose-service.ts";
import { running, unreadCompose, withoutCompose } from "../models/running.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A published port goes around the host's firewall: Docker writes its own rules first. */
export const publishedStores: Rule = {
  id: "DEP-06",
  name: "published-stores",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "No database, cache or queue is published on the host",
  remedy: "take `ports` away (services reach each other without), or bind to 127.0.0.1",
  check(repository) {
    const evidence: Evidence[] = [];
    for (const { service, kind } of running(repository)) {
      if (kind !== "store") continue;
      const own = ports(service);
      const host = textAt(service, "network_mode") === "host";
      if (own.length === 0 && !host) {
        evidence.push(strength(service.file, service.line, `${service.name} publishes no port`));
      }
      for (const port of own) {
        const open = isOpen(port);
        const { file, line } = port;
        if (open === null) {
          evidence.push(
            unknown(file, line, `the address of ${port.written} is given from outside`),
          );
        } else if (open) {
          const message = `${service.name} is published as ${port.written} on every interface`;
          evidence.push(gap(file, line, message, { isProduction: true }));
        } else evidence.push(strength(file, line, `${service.name} listens on this host alone`));
      }
    }
    evidence.push(...unreadCompose(repository));
    return conclude(
      evidence,
      withoutCompose(repository, {
        asks: false,
        nothing: "compose runs no database, cache or queue",
      }),
    );
  },
};
