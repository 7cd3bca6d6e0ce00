import { at, hasHeaderHome, webHeaders, webHome, webManifests } from "../models/web.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A policy is what stands between one injected script and every session. */
export const contentSecurityPolicy: Rule = {
  id: "WEB-01",
  name: "content-security-policy",
  area: "security",
  severity: "p1",
  confidence: "high",
  section: 3,
  title: "The web sends a Content-Security-Policy",
  remedy:
    "set the header in next.config headers(), in the middleware with a nonce, or at the proxy",
  check(repository) {
    if (webManifests(repository).length === 0) {
      return { status: "not-applicable", summary: "there is no web front end", evidence: [] };
    }
    const evidence: Evidence[] = [];
    const all = webHeaders(repository).filter(({ values }) => values.length > 0);
    const policies = all.filter(({ name }) => name === "content-security-policy");
    for (const one of policies) {
      evidence.push(
        one.isWired
          ? { kind: "strength", ...at(one), message: "a Content-Security-Policy is set" }
          : {
            kind: "weakness",
            ...at(one),
            message: "a Content-Security-Policy is written here, and nothing loads the file",
          },
      );
    }
    if (policies.length === 0) {
      const trial = all.find(({ name }) => name.endsWith("report-only"));
      if (trial) {
        evidence.push({
          kind: "weakness",
          ...at(trial),
          message: "the policy only reports, and stops nothing",
        });
      } else if (hasHeaderHome(repository)) {
        evidence.push({
          kind: "gap",
          file: webHome(repository),
          line: null,
          message: "no Content-Security-Policy is set",
        });
      }
    }
    return conclude(evidence, {
      status: "unknown",
      summary: "no policy here, and the host that serves the files may set one",
    });
  },
};
