import { child, flag, keyName } from "../../lint/syntax.ts";
import { lineOf, scripts } from "../models/scripts.ts";
import { dependsOn } from "../models/web.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const LIBRARY = /^(next-auth|@auth\/.+|better-auth)$/;

/** Two switches of Auth.js that trade an account for a convenience. */
export const authSwitches: Rule = {
  id: "WEB-08",
  name: "auth-switches",
  area: "auth",
  severity: "p1",
  confidence: "high",
  section: 3,
  title: "Accounts are not linked by e-mail alone, and the host is not taken from the request",
  remedy: "remove allowDangerousEmailAccountLinking; set AUTH_URL instead of trustHost",
  check(repository) {
    if (!dependsOn(repository, LIBRARY)) {
      return { status: "not-applicable", summary: "no library with these switches", evidence: [] };
    }
    const all = scripts(repository);
    const evidence: Evidence[] = [];
    for (
      const module of all.mentioning(
        /next-auth|NextAuth|@auth\/|better-auth|allowDangerousEmailAccountLinking|trustHost/,
      )
    ) {
      const { path: file } = module;
      if (["test", "docs"].includes(repository.file(file)?.context ?? "")) continue;
      let isClean = /\bproviders\b|betterAuth\(/.test(module.text);
      for (const property of module.properties) {
        const name = keyName(property);
        const value = child(property, "value");
        if (name !== "allowDangerousEmailAccountLinking" && name !== "trustHost") continue;
        const isOn = value?.type !== "BooleanLiteral" || flag(value, "value");
        if (!isOn) continue;
        isClean = false;
        const line = lineOf(module, property);
        evidence.push(
          name === "trustHost"
            ? {
              kind: "weakness",
              severity: "p2",
              file,
              line,
              message:
                "trustHost takes the host from the request: right only behind a proxy that sets it",
            }
            : {
              kind: "gap",
              file,
              line,
              message: "who owns an e-mail address at any provider gets the account",
            },
        );
      }
      if (isClean) {
        evidence.push({ kind: "strength", file, line: 1, message: "neither switch is on" });
      }
    }
    return conclude(evidence, {
      status: "unknown",
      summary: "the library is there, its settings were not found",
    });
  },
};
