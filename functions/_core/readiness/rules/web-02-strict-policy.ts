import { directivesOf, isInlineHeld } from "../models/csp.ts";
import { HOLE } from "../models/script-values.ts";
import { at, webHeaders } from "../models/web.ts";
import { conclude, type Evidence, type Rule, unique } from "../rule.ts";

/** A policy that lets any script of the page run holds back nothing that was injected. */
export const strictPolicy: Rule = {
  id: "WEB-02",
  name: "strict-policy",
  area: "security",
  severity: "p1",
  confidence: "high",
  section: 3,
  title: "The policy for scripts has neither 'unsafe-inline' nor 'unsafe-eval'",
  remedy:
    "give each script a nonce in the middleware: script-src 'self' 'nonce-…' 'strict-dynamic'",
  check(repository) {
    const evidence: Evidence[] = [];
    for (const one of webHeaders(repository)) {
      if (one.name !== "content-security-policy") continue;
      for (const value of new Set(one.values)) {
        const directives = directivesOf(value);
        const scripts = directives.get("script-src") ?? directives.get("default-src");
        const styles = directives.get("style-src") ?? [];
        if (!scripts) {
          // `frame-ancestors` alone is a policy about something else.
          const isUnknown = value.includes(HOLE);
          evidence.push({
            kind: isUnknown ? "unknown" : "gap",
            ...at(one),
            message: isUnknown ? "the policy can't be read" : "the policy says nothing of scripts",
          });
          continue;
        }
        const bad = [
          ...(scripts.includes("'unsafe-eval'") ? ["'unsafe-eval'"] : []),
          ...(scripts.includes("'unsafe-inline'") && !isInlineHeld(scripts)
            ? ["'unsafe-inline'"]
            : []),
          ...(scripts.some((each) => /^(\*|https?:|data:)$/.test(each)) && !isInlineHeld(scripts)
            ? ["any host"]
            : []),
        ];
        if (bad.length > 0) {
          evidence.push({
            kind: "gap",
            ...at(one),
            message: `scripts may come with ${bad.join(" and ")}`,
          });
        } else if (styles.includes("'unsafe-inline'") && !isInlineHeld(styles)) {
          evidence.push({
            kind: "weakness",
            severity: "p2",
            ...at(one),
            message: "styles may come with 'unsafe-inline'",
          });
        } else {
          evidence.push({
            kind: "strength",
            ...at(one),
            message: "scripts come from named places or with a nonce",
          });
        }
      }
    }
    return conclude(unique(evidence), { status: "not-applicable", summary: "there is no policy" });
  },
};
