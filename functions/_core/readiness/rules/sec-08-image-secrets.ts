import { gap, strength, unknown, weakness } from "../evidence.ts";
import { lineage, pairs, type Stage, unreadDockerfiles } from "../models/dockerfiles.ts";
import { productionImages } from "../models/images.ts";
import { interpolate, literal, references } from "../models/interpolation.ts";
import { isPlaceholder, isPlain, isSecretName } from "../models/secret-names.ts";
import { redact } from "../redact.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Whoever has the image has its environment and, with its history, its build arguments. */
export const imageSecrets: Rule = {
  id: "SEC-08",
  name: "image-secrets",
  area: "secrets",
  severity: "p1",
  confidence: "high",
  section: 2,
  title: "No secret is built into an image, as ENV or as ARG",
  remedy: "give it to the step that needs it: `RUN --mount=type=secret,id=…`",
  async check(repository) {
    const evidence: Evidence[] = [];
    const seen = new Set<string>();
    for (const { dockerfile, stage } of productionImages(repository)) {
      if (seen.has(dockerfile.path)) continue;
      seen.add(dockerfile.path);
      const final = new Set(lineage(stage));
      const found: Evidence[] = [];
      for (const one of dockerfile.stages) found.push(...await judge(one, final.has(one)));
      const isOpen = found.some(({ kind }) => kind !== "strength");
      if (!isOpen) {
        found.push(strength(dockerfile.path, stage.line, "no ARG or ENV of it holds a secret"));
      }
      evidence.push(...found);
    }
    for (const { file, reason } of unreadDockerfiles(repository)) {
      evidence.push(unknown(file, null, `it can't be read: ${reason}`));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no Dockerfile" });
  },
};

async function judge({ path, instructions }: Stage, isFinal: boolean): Promise<Evidence[]> {
  const evidence: Evidence[] = [];
  const severity = isFinal ? "p1" : "p2";
  const more = { severity, isProduction: true } as const;
  for (const { keyword, arguments: written, line, flags } of instructions) {
    if (
      keyword === "RUN" &&
      flags.some(({ name, value }) => name === "mount" && /type=secret/.test(value))
    ) {
      evidence.push(strength(path, line, "a step gets its secret as a mount"));
    }
    if (keyword !== "ENV" && keyword !== "ARG") continue;
    for (const { name, value } of pairs(written)) {
      const password = /[a-z][a-z0-9+.-]*:\/\/[^\s:/@$]*:([^\s@/$]+)@/i.exec(value ?? "")?.[1];
      if (password && !isPlaceholder(password)) {
        const make = isFinal ? gap : weakness;
        evidence.push(
          make(path, line, `${name} has a password in its URL (${await redact(password)})`, more),
        );
        continue;
      }
      if (!isSecretName(name)) continue;
      if (value === null || value === "") {
        if (keyword === "ENV") continue;
        // An argument is in the history of each layer that its stage makes.
        const message = `the build argument ${name} stays in the history of its stage`;
        evidence.push((isFinal ? gap : weakness)(path, line, message, more));
        continue;
      }
      const parts = interpolate(value);
      const text = literal(parts);
      if (text !== null) {
        if (isPlain(text)) continue;
        if (isPlaceholder(text)) {
          const message = `${keyword} ${name} is a placeholder that a missing value falls back to`;
          evidence.push(weakness(path, line, message, { ...more, severity: "p2" }));
        } else {
          evidence.push(
            gap(path, line, `${keyword} ${name} is a secret (${await redact(text)})`, more),
          );
        }
      } else if (keyword === "ENV" && references(parts).length > 0 && isFinal) {
        evidence.push(gap(path, line, `ENV ${name} keeps a build argument in the image`, more));
      }
    }
  }
  return evidence;
}
