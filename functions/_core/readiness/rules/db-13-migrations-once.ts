import { gap, strength, weakness } from "../evidence.ts";
import { dockerCommands } from "../models/docker-commands.ts";
import { productionImages } from "../models/images.ts";
import { running } from "../models/running.ts";
import type { Command } from "../models/shell.ts";
import { readShell } from "../models/shell.ts";
import { toolOf } from "../models/shell-tools.ts";
import { startOf } from "../models/start.ts";
import { workflowsOf } from "../models/workflows.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Two replicas that start together migrate together. */
export const migrationsOnce: Rule = {
  id: "DB-13",
  name: "migrations-once",
  area: "db",
  severity: "p1",
  confidence: "medium",
  section: 5,
  title: "Migrations run once for a release, not in each replica as it starts",
  remedy: "run them in a service or a job of their own that the others wait for, or under a lock",
  check(repository) {
    const evidence: Evidence[] = [];
    const lock = lockOf(repository);
    const seen = new Set<string>();
    const services = running(repository);
    const covered = new Set(services.map(({ stage }) => stage));
    const starts = [
      ...services.map(({ service, stage, isOneShot, project }) => ({
        start: startOf(repository, { stage, service }),
        isOneShot,
        name: service.name,
        service,
        project,
      })),
      ...productionImages(repository).filter(({ stage }) => !covered.has(stage)).map((
        { stage },
      ) => ({
        start: startOf(repository, { stage }),
        isOneShot: false,
        name: stage.path,
      })),
    ];
    for (const { start, isOneShot, name } of starts) {
      const own = start?.commands ?? [];
      const migration = own.find(({ command }) => isMigration(command));
      if (!migration || !start) continue;
      const { file, command: { line, text, within } } = migration;
      const key = `${file}:${line}`;
      // A container that only migrates is a job, whatever it is called.
      const isJob = isOneShot ||
        own.every(({ command }) => isMigration(command) || !serves(command));
      if (seen.has(key) && !isJob) continue;
      seen.add(key);
      if (isJob) evidence.push(strength(file, line, `${name} migrates and ends`));
      else if (lock) {
        evidence.push(
          strength(lock.file, lock.line, "migrations take a lock, so that replicas wait"),
        );
      } else {
        const loop = within.includes("loop") ? ", in a loop that hides its failure" : "";
        const message = `each start of ${name} migrates${loop}: ${text.slice(0, 60)}`;
        evidence.push(gap(file, line, message, { isProduction: true }));
      }
    }
    evidence.push(...elsewhere(repository));
    if (evidence.length === 0 && lock) {
      evidence.push(strength(lock.file, lock.line, "migrations take a lock"));
    }
    const tool = repository.matching(TOOLS).find(({ context }) => context === "prod");
    return conclude(
      evidence,
      tool
        ? { status: "unknown", summary: `nothing says when the migrations run (${tool.path})` }
        : { status: "not-applicable", summary: "no migrations" },
    );
  },
};

const TOOLS =
  /(^|\/)(alembic\.ini|alembic\/env\.py|prisma\/schema\.prisma|drizzle\.config\.[jt]s|knexfile\.[jt]s|migrations\/\d[\w-]*\.(sql|py|[jt]s)|ormconfig\.[jt]s(on)?)$/;

/** Whether a command changes the schema. */
function isMigration(command: Command): boolean {
  const { name, args } = toolOf(command);
  const verbs = args.filter((one) => !one.startsWith("-"));
  if (name === "alembic") return verbs.includes("upgrade");
  if (name === "flask") return verbs[0] === "db" && verbs[1] === "upgrade";
  if (name === "prisma") {
    return (verbs[0] === "migrate" && verbs[1] === "deploy") ||
      (verbs[0] === "db" && verbs[1] === "push");
  }
  if (
    /^(drizzle-kit|knex|sequelize|sequelize-cli|typeorm|typeorm-ts-node-commonjs|node-pg-migrate|dbmate|goose|atlas|aerich|piccolo)$/
      .test(name)
  ) {
    return verbs.some((one) =>
      /^(migrate|migrate:latest|db:migrate|migration:run|up|push|upgrade|migrations)$/.test(one)
    );
  }
  if (
    /^manage\.py$/.test(name) || verbs.some((one) => /(^|\/)manage\.py$/.test(one)) ||
    name === "django-admin"
  ) {
    return verbs.includes("migrate");
  }
  if (/^(npm|pnpm|yarn|bun)$/.test(command.program)) {
    return verbs.some((one) =>
      /^(db:)?(migrate|migration)(:(deploy|up|run|latest|prod))?$|^migrations?:run$/.test(one)
    );
  }
  return false;
}

function serves(command: Command): boolean {
  const { name, args } = toolOf(command);
  return /^(uvicorn|gunicorn|hypercorn|granian|daphne|fastapi|flask|node|next|bun|deno|celery|arq|nest|serve|nginx|supervisord|pm2|pm2-runtime)$/
    .test(name) ||
    args.includes("runserver") ||
    (/^(npm|pnpm|yarn)$/.test(command.program) &&
      /^(start|serve)/.test(args.find((one) => !/^(-|run$)/.test(one)) ?? ""));
}

/** A lock that alembic's environment, or the code that migrates, takes. */
function lockOf(repository: Repository): { file: string; line: number } | null {
  for (
    const { path, text } of repository.matching(
      /(^|\/)(env\.py|[\w-]*migrat[\w-]*\.(py|[cm]?[jt]s|sql|sh))$/,
    )
  ) {
    const at = text?.split("\n").findIndex((line) =>
      /pg_(try_)?advisory_(xact_)?lock|GET_LOCK\(/i.test(line)
    ) ?? -1;
    if (at >= 0) {
      return { file: path, line: at + 1 };
    }
  }
  return null;
}

/** Workflows, and what Fly, Render, Heroku and Kubernetes run once for a release. */
function elsewhere(repository: Repository): Evidence[] {
  const evidence: Evidence[] = [];
  for (const { file, jobs } of workflowsOf(repository).all) {
    if (!/deploy|release|prod|migrat|staging|\bcd\b/i.test(file)) continue;
    for (const { steps } of jobs) {
      for (const { run } of steps) {
        const one = run?.shell?.commands.find((command) =>
          isMigration(command) ||
          command.args.some((arg, index) =>
            /^(alembic|prisma)$/.test(arg) &&
            /^(upgrade|migrate)$/.test(command.args[index + 1] ?? "")
          )
        );
        if (one) evidence.push(strength(file, one.line, "the deploy migrates, once"));
      }
    }
  }
  const release = [
    [/(^|\/)fly(\.[\w-]+)?\.toml$/, /^\s*release_command\s*=/],
    [/(^|\/)render\.ya?ml$/, /^\s*preDeployCommand:/],
    [/(^|\/)railway\.(toml|json)$/, /preDeployCommand/],
    [/(^|\/)Procfile$/, /^release:/],
    [/(^|\/)heroku\.yml$/, /^release:/],
  ] as const;
  for (const [path, pattern] of release) {
    for (const { path: file, text } of repository.matching(path)) {
      const at = text?.split("\n").findIndex((line) => pattern.test(line)) ?? -1;
      if (at >= 0) evidence.push(strength(file, at + 1, "the platform runs it once for a release"));
    }
  }
  for (const { path, text } of repository.matching(/\.ya?ml$/)) {
    if (!text || !/^kind:\s*Job\b/m.test(text)) continue;
    const at = text.split("\n").findIndex((line) => /migrat|alembic|prisma/i.test(line));
    if (at >= 0) evidence.push(strength(path, at + 1, "a Job of Kubernetes migrates"));
  }
  for (const { file, line, kind, verb, purpose } of dockerCommands(repository)) {
    if (kind !== "compose" || (verb !== "run" && verb !== "exec") || purpose === "docs") continue;
    const text = repository.file(file)?.text?.split("\n")[line - 1] ?? "";
    const commands =
      readShell(repository.parsers, text.replace(/^\s*(- )?(run:)?\s*/, "")).commands;
    const asks = commands.some(({ args }) =>
      args.some((one, index) =>
        (one === "alembic" && args.includes("upgrade")) || (one === "migrate" && index > 1) ||
        one === "prisma"
      )
    );
    if (asks && purpose === "deploy") {
      evidence.push(strength(file, line, "the deploy migrates, once"));
    } else if (asks) {
      evidence.push(weakness(file, line, "migrations are started by hand", { severity: "p2" }));
    }
  }
  return evidence;
}
