import { guardOf, type Setting, settingsOf } from "../models/settings.ts";
import { redact } from "../redact.ts";
import { conclude, type Evidence, type Rule, unique } from "../rule.ts";
import {
  credentialsIn,
  isLocalHost,
  isNameLike,
  isPlaceholder,
  isSecretName,
  roleOf,
} from "../secret-names.ts";

const SETTINGS_FILE =
  /(^|\/)(settings|config|configuration|conf|constants|env|environment)(\/|[._-]|$)/i;

/** A default for a secret is a secret that everybody with the source has. */
export const secretDefault: Rule = {
  id: "SEC-01",
  name: "secret-default",
  area: "secrets",
  severity: "p0",
  confidence: "high",
  section: 2,
  title: "No secret has a default in the code",
  remedy: "declare the setting without a default, so that the application doesn't start without it",
  async check(repository) {
    const { settings, guards } = await settingsOf(repository);
    const evidence: Evidence[] = [];
    for (const one of settings) {
      if (one.isDevelopment) continue;
      const { name, file, line, fallback } = one;
      if (fallback.kind === "text") {
        const found = await weigh(one);
        if (!found) continue;
        const guard = guardOf(one, guards);
        const shown = `${name} has a default (${await redact(found.secret)})`;
        evidence.push(
          guard?.kind === "placeholder"
            ? {
              kind: "strength",
              file: guard.file,
              line: guard.line,
              message: `${name} has a default that a check refuses outside of development`,
            }
            : { ...found.evidence, file, line, message: `${shown}${found.remark}` },
        );
      } else if (one.style !== "constant" && isSecretName(name) && fallback.kind === "required") {
        evidence.push({ kind: "strength", file, line, message: `${name} has no default` });
      } else if (fallback.kind === "generated" && isSecretName(name)) {
        evidence.push({
          kind: roleOf(name) === "signing" ? "weakness" : "strength",
          severity: "p2",
          file,
          line,
          message: `${name} is made anew at each start: two workers or a restart don't share it`,
        });
      } else if (one.style === "read" && isSecretName(name) && fallback.kind === "empty") {
        evidence.push({ kind: "strength", file, line, message: `${name} has no default` });
      }
    }
    return conclude(unique(evidence), {
      status: "not-applicable",
      summary: settings.length === 0
        ? "no back end reads settings here"
        : `${settings.length} settings were read, and none is named as a secret`,
    });
  },
};

type Weight = {
  secret: string;
  evidence: Pick<Evidence, "kind" | "severity">;
  remark: string;
};

/** How much a default weighs, null where it is no secret. */
function weigh({ name, style, file, owner, fallback }: Setting): Weight | null {
  if (fallback.kind !== "text") return null;
  const { text } = fallback;
  const credentials = credentialsIn(text);
  if (credentials) {
    const isLocal = isLocalHost(credentials.host);
    return {
      secret: credentials.password,
      evidence: isLocal ? { kind: "weakness", severity: "p2" } : { kind: "gap", severity: "p1" },
      remark: isLocal
        ? ": an address of this machine or a compose service, with its password"
        : ": an address with its password",
    };
  }
  if (!isSecretName(name) || isNameLike(text, name) || /^(https?:\/\/|\/|\.\/)/.test(text)) {
    return null;
  }
  // Outside of settings a constant must look like a secret, not only be named so.
  if (style === "constant" && owner === null && !SETTINGS_FILE.test(file)) {
    if (text.length < 6 || /\s/.test(text) || (roleOf(name) === "other" && !/\d/.test(text))) {
      return null;
    }
  }
  const role = roleOf(name);
  const remark = isPlaceholder(text) ? ", a well-known one" : "";
  if (role === "signing" || role === "administrator") {
    return { secret: text, evidence: { kind: "gap", severity: "p0" }, remark };
  }
  if (role === "service") {
    return { secret: text, evidence: { kind: "gap", severity: "p1" }, remark };
  }
  return isPlaceholder(text) || text.length < 8
    ? {
      secret: text,
      evidence: { kind: "weakness", severity: "p2" },
      remark: `${remark}: the service behind it refuses it`,
    }
    : { secret: text, evidence: { kind: "gap", severity: "p0" }, remark };
}
