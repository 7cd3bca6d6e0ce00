import { lineOf, scripts, written } from "../models/scripts.ts";
import { dependsOn } from "../models/web.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const LIBRARY = /^(next-auth|@auth\/.+)$/;
const FIELD =
  /^session(\.user)?\.(access_?token|refresh_?token|id_?token|provider_?token|token|jwt)$/i;

/** What the session callback returns is what every script of the page reads. */
export const sessionTokens: Rule = {
  id: "WEB-06",
  name: "session-tokens",
  area: "auth",
  severity: "p2",
  confidence: "high",
  section: 3,
  title: "The session that the client reads holds no access token",
  remedy: "keep the token in the encrypted JWT, and read it on the server with getToken()",
  check(repository) {
    const all = scripts(repository);
    if (!dependsOn(repository, LIBRARY)) {
      return {
        status: "not-applicable",
        summary: "no session library with a callback",
        evidence: [],
      };
    }
    const evidence: Evidence[] = [];
    for (const module of all.mentioning(/next-auth|NextAuth|@auth\//)) {
      const { path: file } = module;
      if (repository.file(file)?.context === "test") continue;
      let isClean = /\bcallbacks\b|\bproviders\b/.test(module.text);
      for (const { target } of module.assignments) {
        const name = written(target);
        if (!FIELD.test(name)) continue;
        isClean = false;
        evidence.push({
          kind: "gap",
          file,
          line: lineOf(module, target),
          message: `${name} goes to every script of the page`,
        });
      }
      if (isClean) {
        evidence.push({
          kind: "strength",
          file,
          line: 1,
          message: "the session callback hands out no token",
        });
      }
    }
    return conclude(evidence, {
      status: "unknown",
      summary: "the library is there, its settings were not found",
    });
  },
};
