import { gap, strength } from "../evidence.ts";
import { dependencies } from "../models/compose-service.ts";
import { running, unreadCompose, withoutCompose } from "../models/running.ts";
import { isTool } from "./dep-13-admin-tools.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A database that has started is not one that answers. */
export const waitsForHealth: Rule = {
  id: "DEP-10",
  name: "waits-for-health",
  area: "deployment",
  severity: "p2",
  confidence: "high",
  section: 5,
  title: "Services wait for the health of what they need, not for its start",
  remedy: "write `depends_on` with `condition: service_healthy`",
  check(repository) {
    const evidence: Evidence[] = [];
    const all = running(repository);
    for (const { service, project } of all) {
      for (const { name, condition, file, line } of dependencies(service)) {
        const other = all.find((one) => one.project === project && one.service.name === name);
        const what = `${service.name} waits for`;
        if (condition === "service_healthy") {
          evidence.push(strength(file, line, `${what} the health of ${name}`));
        } else if (condition === "service_completed_successfully") {
          evidence.push(strength(file, line, `${what} the end of ${name}`));
        } else if (other?.kind === "store" && !isTool(service)) {
          evidence.push(
            gap(file, line, `${what} the start of ${name} alone`, { isProduction: true }),
          );
        }
      }
    }
    evidence.push(...unreadCompose(repository));
    return conclude(
      evidence,
      withoutCompose(repository, { asks: false, nothing: "nothing waits for a store" }),
    );
  },
};
