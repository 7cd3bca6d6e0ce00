import { gap, strength, unknown, weakness } from "../evidence.ts";
import { withCode } from "../models/code.ts";
import { textAt, value } from "../models/compose-service.ts";
import { productionImages } from "../models/images.ts";
import { healthOf, running } from "../models/running.ts";
import type { Command } from "../models/shell.ts";
import { toolOf } from "../models/shell-tools.ts";
import { startOf } from "../models/start.ts";
import { workers } from "../models/workers.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A worker that died with nobody to start it again is a queue that only grows. */
export const workerService: Rule = {
  id: "JOB-04",
  name: "worker-service",
  area: "deployment",
  severity: "p2",
  confidence: "medium",
  section: 5,
  title: "The worker is a service of its own, started again when it ends, with a health check",
  remedy: "give the worker its own service with `restart` and a `healthcheck`",
  check: withCode((repository) => {
    const evidence: Evidence[] = [];
    const more = { isProduction: true };
    for (const { service, stage, isOneShot, kind } of running(repository)) {
      if (isOneShot || kind === "store") continue;
      const commands = startOf(repository, { stage, service })?.commands ?? [];
      const work = commands.find(({ command }) => isWorker(command));
      if (!work) continue;
      const { name, file, line } = service;
      const beside = commands.find(({ command }) => isServer(command));
      if (beside) {
        const message = `${name} runs a worker beside its server, in one container`;
        evidence.push(gap(work.file, work.command.line, message, more));
        continue;
      }
      const restart = textAt(service, "restart") ??
        textAt(service, "deploy", "restart_policy", "condition");
      const hasHealth = value(service, "healthcheck", "test") !== null ||
        healthOf(stage)?.isNone === false;
      if (restart === null || /^(no|false|none)$/.test(restart)) {
        evidence.push(gap(file, line, `the worker ${name} is not started again`, more));
      } else if (!hasHealth) {
        evidence.push(weakness(file, line, `the worker ${name} has no health check`, more));
      } else evidence.push(strength(file, line, `the worker ${name} has a service of its own`));
    }
    for (const { path, text } of repository.matching(/(^|\/)Procfile$/)) {
      const at = text?.split("\n").findIndex((one) =>
        /^(worker|jobs|celery|queue)\w*:/.test(one)
      ) ?? -1;
      if (at >= 0) evidence.push(strength(path, at + 1, "the worker is a process of its own"));
    }
    if (evidence.length > 0) return conclude(evidence, { status: "unknown", summary: "" });
    const queues = [...workers(repository).queues].filter(([queue]) =>
      /^(arq|celery|rq|dramatiq|bullmq|bull|pg-boss|graphile-worker)$/.test(queue)
    );
    const [first] = queues;
    if (!first) {
      return conclude([], { status: "not-applicable", summary: "no queue that needs a worker" });
    }
    const [queue, { file, line }] = first;
    const hasImages = productionImages(repository).length > 0 || running(repository).length > 0;
    const message = hasImages
      ? `${queue} is used, and no service here runs its worker as far as can be told`
      : `${queue} is used, and nothing here says what runs its worker`;
    return conclude([unknown(file.path, line, message)], { status: "unknown", summary: message });
  }),
};

function isWorker(command: Command): boolean {
  const { name, args } = toolOf(command);
  const words = args.filter((one) => !one.startsWith("-"));
  if (name === "celery") return args.includes("worker") || args.includes("beat");
  if (name === "rq" || name === "rqworker") return name === "rqworker" || words.includes("worker");
  if (
    /^(arq|dramatiq|taskiq|huey_consumer(\.py)?|procrastinate|temporal-worker|graphile-worker|rqscheduler|saq)$/
      .test(name)
  ) {
    return name !== "taskiq" || words.includes("worker");
  }
  const script = [command.program, ...words].join(" ");
  return /(^|[ /._:-])workers?([ /._:-]|$)/i.test(script) &&
    /^(python[\d.]*|node|tsx|bun|deno|npm|pnpm|yarn|uv|poetry)$/.test(command.program);
}

function isServer(command: Command): boolean {
  return /^(uvicorn|gunicorn|hypercorn|granian|fastapi|next)$/.test(toolOf(command).name) &&
    !toolOf(command).args.some((one) =>
      /worker/.test(one) && !one.startsWith("-") && !/uvicorn|gthread|gevent/i.test(one)
    );
}
