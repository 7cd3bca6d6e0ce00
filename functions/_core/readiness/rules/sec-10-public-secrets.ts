import { lineAt } from "../../lines.ts";
import { findSecrets } from "../../lint/secrets.ts";
import { envFiles } from "../models/env-files.ts";
import { PUBLIC_NAME, publicSecret } from "../models/public-names.ts";
import { redact } from "../redact.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const READ =
  /\.([cm]?[jt]sx?|svelte|vue|astro|ya?ml|toml|json|sh|env)$|(^|\/)(\.env[\w.-]*|[^/]*Dockerfile[^/]*)$/i;
const MACHINE = /(^|\/)(package-lock\.json|pnpm-lock\.yaml)$|\.min\.js$|\.d\.ts$/;

type Use = { file: string; line: number; isCode: boolean };

/** A bundler copies these variables into the code: who opens the page has them. */
export const publicSecrets: Rule = {
  id: "SEC-10",
  name: "public-secrets",
  area: "secrets",
  severity: "p0",
  confidence: "high",
  section: 3,
  title: "No secret is in a variable that the bundler gives to every browser",
  remedy: "drop the public prefix, read it on the server only, and rotate what was published",
  async check(repository) {
    const uses = new Map<string, Use[]>();
    for (const { path: file, text, context, isTracked } of repository.matching(READ)) {
      if (
        text === null || context === "test" || context === "docs" || isTracked === false ||
        MACHINE.test(file)
      ) continue;
      for (const { 0: name, index } of text.matchAll(PUBLIC_NAME)) {
        const list = uses.get(name) ?? [];
        uses.set(name, list);
        if (list.length >= 20 || list.some((one) => one.file === file)) continue;
        const start = text.lastIndexOf("\n", index) + 1;
        if (/^\s*(#|\/\/|\*)/.test(text.slice(start, index))) continue;
        const line = lineAt(text, index);
        list.push({ file, line, isCode: /\.([cm]?[jt]sx?|svelte|vue|astro)$/.test(file) });
      }
    }
    const evidence: Evidence[] = [];
    for (const [name, places] of uses) {
      const kind = publicSecret(name);
      const use = places.find((one) => one.isCode) ?? places[0];
      if (!kind || !use) continue;
      const { file, line } = use;
      const more = places.length > 1 ? `, in ${places.length} files` : "";
      evidence.push(
        kind === "certain"
          ? {
            kind: "gap",
            file,
            line,
            message: `${name} is a secret by its name, and every browser gets it${more}`,
          }
          : {
            kind: "weakness",
            severity: "p1",
            file,
            line,
            message: `${name} may be a secret, and every browser gets it${more}`,
          },
      );
    }
    for (const { path: file, entries } of envFiles(repository)) {
      for (const { name, value, line } of entries) {
        const [secret] = name.search(PUBLIC_NAME) === 0 ? findSecrets(value) : [];
        if (!secret || secret.isLocalDemo) continue;
        const message = `${name} holds a ${secret.kind} (${await redact(value)})`;
        evidence.push({ kind: "gap", file, line, message });
      }
    }
    const [first] = [...uses.values()].flat();
    if (evidence.length === 0 && first) {
      const message = `${uses.size} variables are public, and none is a secret by its name`;
      evidence.push({ kind: "strength", file: first.file, line: first.line, message });
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no variable has a prefix that makes it public",
    });
  },
};
