import { findSecrets } from "../../lint/secrets.ts";
import { type EnvEntry, envFiles } from "../models/env-files.ts";
import { settingsOf } from "../models/settings.ts";
import { redact } from "../redact.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { credentialsIn, isLocalHost, isPlaceholder, isSecretName } from "../secret-names.ts";

const KEY_FILE = /(^|\/)(id_(rsa|dsa|ecdsa|ed25519)|[^/]+\.(pem|key|ppk))$/i;
const KEY_STORE = /\.(p12|pfx|jks|keystore)$/i;
const PRIVATE = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----/;
const PUBLIC = /^(NEXT_PUBLIC_|VITE_|EXPO_PUBLIC_|PUBLIC_|REACT_APP_|NUXT_PUBLIC_)/;

/** What git has once it has for ever, on every clone and fork: a secret in it must be taken as known. */
export const trackedSecrets: Rule = {
  id: "SEC-04",
  name: "tracked-secrets",
  area: "secrets",
  severity: "p0",
  confidence: "high",
  section: 1,
  title: "No file of the environment and no private key is in git",
  remedy: "git rm --cached the file, ignore it, and rotate every secret that it held",
  async check(repository) {
    const evidence: Evidence[] = [];
    const files = envFiles(repository);
    const refused = new Set<string>();
    if (files.length > 0) {
      for (const guard of (await settingsOf(repository)).guards) {
        if (guard.kind === "placeholder") { for (const name of guard.names) refused.add(name); }
      }
    }
    for (const { path, isTracked, isTemplate, entries } of files) {
      if (isTracked === false) continue;
      const found = [];
      for (const entry of entries) {
        const one = await weigh(entry, path, isTemplate, refused);
        if (one) found.push(one);
      }
      evidence.push(...found);
      if (found.length === 0) {
        const message = isTemplate
          ? `${path} is a template without secrets`
          : `${path} holds no secret`;
        evidence.push({ kind: "strength", file: path, line: null, message });
      }
    }
    for (const { path: file, text, isTracked, context } of repository.matching(KEY_FILE)) {
      if (isTracked === false || !PRIVATE.test(text?.slice(0, 5_000) ?? "")) continue;
      const isFixture = context === "test" || context === "docs";
      evidence.push({
        kind: isFixture ? "weakness" : "gap",
        ...(isFixture ? { severity: "p2" as const } : {}),
        file,
        line: 1,
        message: `a private key is in the repository (${await redact(text ?? "")})`,
      });
    }
    for (const { path: file, isTracked } of repository.matching(KEY_STORE)) {
      if (isTracked === false) continue;
      const message = "a store of keys is in the repository";
      evidence.push({ kind: "weakness", severity: "p1", file, line: null, message });
    }
    for (const { path: file, text } of repository.matching(/(^|\/)\.gitignore$/)) {
      const line = (text ?? "").split("\n").findIndex((one) =>
        /^(\*\*\/|\/)?\*?\.env(\*|\.\*|\.local|\.\w+)?\s*$/.test(one)
      );
      if (line >= 0) {
        evidence.push({
          kind: "strength",
          file,
          line: line + 1,
          message: "git ignores .env files",
        });
      }
    }
    return conclude(evidence, {
      status: "unknown",
      summary: "there is no file of the environment, and nothing keeps one out of git",
    });
  },
};

async function weigh(
  { name, value, line }: EnvEntry,
  file: string,
  isTemplate: boolean,
  refused: ReadonlySet<string>,
): Promise<Evidence | null> {
  if (value === "" || /^(\$\{?|<|%|\{\{|op:\/\/|vault:|\/run\/secrets)/.test(value)) return null;
  const [known] = findSecrets(value);
  if (known && !known.isLocalDemo) {
    const about = await redact(value);
    return { kind: "gap", file, line, message: `${name} holds a ${known.kind} (${about})` };
  }
  if (known || PUBLIC.test(name)) return null;
  const credentials = credentialsIn(value);
  const secret = credentials?.password ?? (isSecretName(name) ? value : null);
  if (secret === null || secret.length < 4 || /^(true|false|\d+)$/i.test(secret)) return null;
  const about = await redact(secret);
  if (isPlaceholder(secret) || (credentials && isLocalHost(credentials.host))) {
    if (isTemplate) return null;
    // Whoever starts it as it is has a secret that everybody knows.
    return refused.has(name.toUpperCase())
      ? {
        kind: "weakness",
        severity: "p2",
        file,
        line,
        message:
          `${name} has a placeholder in a file that git has; a check refuses it in production`,
      }
      : {
        kind: "gap",
        severity: "p1",
        file,
        line,
        message:
          `${name} has a placeholder in a file that git has: who forgets to set it runs with it (${about})`,
      };
  }
  // In a template a value that looks like a secret is mostly an example of one.
  return isTemplate
    ? {
      kind: "weakness",
      severity: "p2",
      file,
      line,
      message: `${name} of a template has a value that is no placeholder (${about})`,
    }
    : { kind: "gap", file, line, message: `${name} is in a file that git has (${about})` };
}
