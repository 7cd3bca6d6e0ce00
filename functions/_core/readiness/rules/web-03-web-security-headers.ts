import { directivesOf } from "../models/csp.ts";
import { at, hasHeaderHome, webHeaders, webHome, webManifests } from "../models/web.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const WANTED: readonly [string, string][] = [
  ["strict-transport-security", "Strict-Transport-Security"],
  ["x-content-type-options", "X-Content-Type-Options"],
  ["x-frame-options", "frame-ancestors or X-Frame-Options"],
  ["referrer-policy", "Referrer-Policy"],
];

/** Four headers that cost nothing and close four old doors. */
export const webSecurityHeaders: Rule = {
  id: "WEB-03",
  name: "web-security-headers",
  area: "security",
  severity: "p2",
  confidence: "high",
  section: 3,
  title: "The web sends HSTS, nosniff, a rule for frames and a referrer policy",
  remedy: "add the four headers where the others are set",
  check(repository) {
    if (webManifests(repository).length === 0) {
      return { status: "not-applicable", summary: "there is no web front end", evidence: [] };
    }
    const all = webHeaders(repository).filter((one) => one.values.length > 0 && one.isWired);
    const evidence: Evidence[] = [];
    const missing: string[] = [];
    for (const [name, shown] of WANTED) {
      const found = all.find((one) => one.name === name) ??
        (name === "x-frame-options"
          ? all.find((one) =>
            one.name === "content-security-policy" &&
            one.values.some((value) => directivesOf(value).has("frame-ancestors"))
          )
          : undefined);
      if (found) evidence.push({ kind: "strength", ...at(found), message: `${shown} is set` });
      else missing.push(shown);
    }
    if (missing.length > 0 && (evidence.length > 0 || hasHeaderHome(repository))) {
      // TLS often ends before the application, and so does this one header.
      const isOnlyTls = missing.length === 1 && missing[0] === "Strict-Transport-Security";
      evidence.push({
        kind: isOnlyTls ? "weakness" : "gap",
        file: webHome(repository),
        line: null,
        message: `missing: ${missing.join(", ")}`,
      });
    }
    return conclude(evidence, {
      status: "unknown",
      summary: "no header is set here, and the host that serves the files may set them",
    });
  },
};
