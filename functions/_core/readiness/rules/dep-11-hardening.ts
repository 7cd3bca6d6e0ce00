import { strength, weakness } from "../evidence.ts";
import { layered, type Service, textAt } from "../models/compose-service.ts";
import { running, unreadCompose, withoutCompose } from "../models/running.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { items, text } from "../yaml-node.ts";

/** What a container can't do, whoever gets in can't do either. */
export const hardening: Rule = {
  id: "DEP-11",
  name: "hardening",
  area: "deployment",
  severity: "p2",
  confidence: "high",
  section: 5,
  title: "Services drop capabilities, can't gain privileges, or can't write to their file system",
  remedy: "set `cap_drop: [ALL]`, `security_opt: [no-new-privileges:true]` and `read_only: true`",
  check(repository) {
    const evidence: Evidence[] = [];
    const bare: Service[] = [];
    for (const { service, kind, isOneShot } of running(repository)) {
      if (kind === "store" || isOneShot) continue;
      const found = hardened(service);
      if (found.length === 0) bare.push(service);
      else {evidence.push(
          strength(service.file, service.line, `${service.name}: ${found.join(", ")}`),
        );}
    }
    const [first] = bare;
    if (first) {
      const names = bare.map(({ name }) => name);
      const whose = names.length > 4 ? `${names.length} services` : names.join(", ");
      evidence.push(
        weakness(first.file, first.line, `none of the three is set for ${whose}`, {
          isProduction: true,
        }),
      );
    }
    evidence.push(...unreadCompose(repository));
    return conclude(evidence, withoutCompose(repository, { asks: false }));
  },
};

function hardened(service: Service): string[] {
  const has = (key: string, pattern: RegExp) =>
    layered(service, key).some(({ node }) =>
      items(node).some((item) => pattern.test(text(item) ?? ""))
    );
  return [
    ...(textAt(service, "read_only") === "true" ? ["read_only"] : []),
    ...(has("security_opt", /^no-new-privileges([:=]true)?$/) ? ["no-new-privileges"] : []),
    ...(has("cap_drop", /./) ? ["cap_drop"] : []),
  ];
}
