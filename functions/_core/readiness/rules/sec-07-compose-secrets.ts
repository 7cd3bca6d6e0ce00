import { gap, strength, unknown, weakness } from "../evidence.ts";
import { compose, type Project } from "../models/compose.ts";
import { commandAt, environment, type Pair, type Service } from "../models/compose-service.ts";
import { literal, references } from "../models/interpolation.ts";
import { isPlaceholder, isPlain, isSecretName } from "../models/secret-names.ts";
import { withoutCompose } from "../models/running.ts";
import { redact } from "../redact.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** What stands in compose stands in git, in every clone, for good. */
export const composeSecrets: Rule = {
  id: "SEC-07",
  name: "compose-secrets",
  area: "secrets",
  severity: "p1",
  confidence: "high",
  section: 2,
  title: "Compose takes its secrets from outside and refuses to start without them",
  remedy: "write `${NAME:?set it}`, without a default, or mount the secret as a file",
  async check(repository) {
    const evidence: Evidence[] = [];
    const seen = new Set<string>();
    const { projects, unread } = compose(repository);
    for (
      const project of projects.toSorted((a, b) => Number(b.isProduction) - Number(a.isProduction))
    ) {
      for (const one of await judge(project)) {
        const key = `${one.file}:${one.line}`;
        if (seen.has(key)) continue;
        seen.add(key);
        evidence.push(one);
      }
    }
    for (const file of unread) evidence.push(unknown(file, null, "it can't be read as YAML"));
    return conclude(evidence, otherwise(repository));
  },
};

function otherwise(repository: Repository) {
  return withoutCompose(repository, { asks: false, nothing: "compose names no secret" });
}

async function judge(project: Project): Promise<Evidence[]> {
  const evidence: Evidence[] = [];
  const empty: { service: Service; pair: Pair }[] = [];
  for (const service of project.services) {
    for (const pair of environment(service)) {
      const one = await ofPair(service, pair, project, empty);
      if (one) evidence.push(one);
    }
    evidence.push(...await ofCommand(service, project));
  }
  const [first] = empty;
  if (first && project.isProduction) {
    const names = [...new Set(empty.map(({ pair }) => pair.name))];
    const whose = names.length > 3 ? `${names.length} secrets are` : `${names.join(", ")}:`;
    const message = `${whose} empty when nothing is set; \`:?\` would refuse to start`;
    evidence.push(
      weakness(first.pair.file, first.pair.line, message, { severity: "p2", isProduction: true }),
    );
  }
  return evidence;
}

/** What production reads weighs what the rule weighs; the rest is a habit that finds its way there. */
function weight({ isProduction }: Project): Pick<Evidence, "severity" | "isProduction"> {
  return isProduction ? { severity: "p1", isProduction } : { severity: "p2", isProduction: true };
}

async function ofPair(
  service: Service,
  { name, value, parts, file, line }: Pair,
  project: Project,
  empty: { service: Service; pair: Pair }[],
): Promise<Evidence | null> {
  if (value === null || value === "") return null;
  const make = project.isProduction ? gap : weakness;
  const whole = literal(parts);
  const url = inUrl(parts);
  if (url) {
    const what = url.isDefault
      ? "has a default for the password of its URL"
      : "has a password in its URL";
    return make(
      file,
      line,
      `${service.name}: ${name} ${what} (${await redact(url.text)})`,
      weight(project),
    );
  }
  if (!isSecretName(name)) return null;
  if (whole !== null) {
    if (isPlain(whole)) return null;
    const kind = isPlaceholder(whole) ? "a placeholder" : "a secret";
    const message = `${service.name}: ${name} is ${kind} in the file (${await redact(whole)})`;
    return make(file, line, message, weight(project));
  }
  for (const { operator, operand } of references(parts)) {
    const given = literal(operand);
    if (
      (operator === ":-" || operator === "-") && given !== null && given !== "" && !isPlain(given)
    ) {
      const message = `${service.name}: ${name} has a default (${await redact(given)})`;
      return make(file, line, message, weight(project));
    }
  }
  const [only] = references(parts);
  if (only?.operator === ":?" || only?.operator === "?") {
    return strength(file, line, `${name} must be set`);
  }
  // `${NAME:-}` says that empty is meant.
  if (only?.operator === "") {
    empty.push({ service, pair: { name, value, parts, file, line } });
    return null;
  }
  return only ? strength(file, line, `${name} comes from outside`) : null;
}

/** A password inside a URL: `postgres://user:password@host`; a reference without a default is none. */
function inUrl(parts: Pair["parts"]): { text: string; isDefault: boolean } | null {
  let shape = "";
  let isDefault = false;
  for (const part of parts) {
    if (typeof part === "string") shape += part;
    else {
      const given = part.operator === ":-" || part.operator === "-" ? literal(part.operand) : null;
      if (given) isDefault = true;
      shape += given ? given : "\u0000";
    }
  }
  const [, password = ""] = /[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:([^\s@/]+)@/i.exec(shape) ?? [];
  if (password === "" || password.includes("\u0000")) return null;
  const isWritten = parts.some((part) =>
    typeof part === "string" && part.includes(`:${password}@`)
  );
  return { text: password, isDefault: isDefault && !isWritten };
}

/** `redis-server --requirepass hunter2` */
async function ofCommand(service: Service, project: Project): Promise<Evidence[]> {
  const command = commandAt(service, "command");
  if (!command) return [];
  const at = command.words.findIndex((word) => /^--?(requirepass|password|pass)$/.test(word));
  const value = at >= 0 ? command.words[at + 1] ?? "" : "";
  if (value === "" || value.includes("$") || value.startsWith("-")) return [];
  const make = project.isProduction ? gap : weakness;
  const message = `${service.name}: ${
    command.words[at]
  } has its password in the file (${await redact(value)})`;
  return [make(command.file, command.line, message, weight(project))];
}
