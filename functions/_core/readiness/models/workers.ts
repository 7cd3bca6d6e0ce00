import type { Repository } from "../repository.ts";
import { type Call, code, type CodeFile, type Expr, type Fn } from "./code.ts";
import { last, literal, type Names, names, option } from "./names.ts";

export type Queue =
  | "arq"
  | "celery"
  | "rq"
  | "dramatiq"
  | "bullmq"
  | "bull"
  | "pg-boss"
  | "inngest"
  | "trigger.dev"
  | "graphile-worker"
  | "background tasks";

/** A job as it is declared or sent, and what it is told about retries. */
export type Job = {
  queue: Queue;
  name: string;
  file: CodeFile;
  line: number;
  /** What it runs, as far as that can be followed. */
  handler: { file: CodeFile; fn: Fn } | null;
  /** What it says about an option, null where it says nothing. */
  option: (name: string) => Expr | null;
};

/** The jobs of a repository, and the queues they stand in. */
export type Workers = { jobs: Job[]; queues: Map<Queue, { file: CodeFile; line: number }> };

const MODULES: [Queue, RegExp][] = [
  ["arq", /^arq\b/],
  ["celery", /^celery\b/],
  ["rq", /^(rq|django_rq)\b/],
  ["dramatiq", /^dramatiq\b/],
  ["bullmq", /^(bullmq|@nestjs\/bullmq)\b/],
  ["bull", /^(bull|@nestjs\/bull)$/],
  ["pg-boss", /^pg-boss$/],
  ["inngest", /^inngest\b/],
  ["trigger.dev", /^@trigger\.dev\/sdk/],
  ["graphile-worker", /^graphile-worker$/],
];

/**
 * The background jobs of arq, celery, rq, dramatiq, BullMQ, pg-boss, Inngest, Trigger.dev, and FastAPI's background
 * tasks.
 *
 * @example
 * workers(repository).jobs.map(({ queue, name }) => `${queue}: ${name}`);
 */
export function workers(repository: Repository): Workers {
  return repository.once("workers", () => {
    const all = names(repository);
    const found: Workers = { jobs: [], queues: new Map() };
    for (const file of code(repository)) {
      for (const { module, line } of file.imports) {
        const queue = MODULES.find(([, one]) => one.test(module))?.[0];
        if (queue && !found.queues.has(queue)) found.queues.set(queue, { file, line });
      }
    }
    for (const file of code(repository)) {
      for (const fn of file.functions) {
        for (const mark of fn.decorators) {
          const job = marked(all, file, fn, mark);
          if (job) found.jobs.push(job);
        }
      }
      for (const call of file.calls) found.jobs.push(...called(all, found, file, call));
      found.jobs.push(...listed(all, file));
    }
    return found;
  });
}

/** `@celery.task(…)`, `@shared_task`, `@dramatiq.actor`, `@job("default")`. */
function marked(all: Names, file: CodeFile, fn: Fn, mark: Expr): Job | null {
  const call = mark.kind === "call" ? mark.call : null;
  const callee = call?.callee ?? (mark.kind === "name" ? mark.name : "");
  const origin = all.calls(file, callee);
  const queue: Queue | null = /^celery\.shared_task$/.test(origin) ||
      (/\.task$/.test(callee) && /celery/i.test(`${origin} ${callee}`)) ||
      (/\.task$/.test(callee) && file.imports.some(({ module }) => /celery/i.test(module)))
    ? "celery"
    : /^dramatiq\.actor$/.test(origin)
    ? "dramatiq"
    : /^(rq\.decorators|django_rq)(\.\w+)*\.job$/.test(origin)
    ? "rq"
    : null;
  if (queue === null) return null;
  return {
    queue,
    name: fn.name,
    file,
    line: mark.line,
    handler: { file, fn },
    option: (name) => call ? option(call, name) : null,
  };
}

function called(all: Names, found: Workers, file: CodeFile, call: Call): Job[] {
  const name = last(call.callee);
  const origin = all.calls(file, call.callee);
  const job = (queue: Queue, title: string, handler: Expr | undefined, value?: Expr): Job[] => [{
    queue,
    name: title,
    file,
    line: call.line,
    handler: handlerOf(all, file, handler),
    option: (key) => {
      const own = option(call, key);
      if (own || value?.kind !== "map") return own;
      return value.entries.find((entry) => entry.key === key)?.value ?? null;
    },
  }];
  if (/^(bullmq|bull)(\.(Queue|FlowProducer))?$/.test(origin) && /Queue$|^Bull$/.test(name)) {
    const queue = /^bull(\.|$)/.test(origin) ? "bull" : "bullmq";
    return job(queue, literal(call.args[0]) ?? name, undefined, defaults(all, file, call));
  }
  if (/^BullModule\.registerQueue(Async)?$/.test(call.callee)) {
    return job(
      "bullmq",
      literal(option(call, "name")) ?? "queue",
      undefined,
      defaults(all, file, call),
    );
  }
  if (
    /^inngest(\(\))?\.createFunction$|^inngest\.Inngest\(\)\.createFunction$/.test(origin) ||
    /(^|\.)inngest\.createFunction$/i.test(call.callee)
  ) {
    return job("inngest", literal(option(call, "id")) ?? "function", call.args.at(-1));
  }
  if (/^@trigger\.dev\/sdk[\w/]*\.(task|schemaTask|schedules\.task)$/.test(origin)) {
    return job(
      "trigger.dev",
      literal(option(call, "id")) ?? "task",
      option(call, "run") ?? undefined,
    );
  }
  if (
    /\.(send|schedule)$/.test(call.callee) && found.queues.has("pg-boss") &&
    /boss/i.test(call.callee)
  ) {
    return job("pg-boss", literal(call.args[0]) ?? "job", undefined, call.args.at(-1));
  }
  if (name === "enqueue" && found.queues.has("rq")) {
    return job("rq", call.args[0]?.kind === "name" ? call.args[0].name : "job", call.args[0]);
  }
  if (
    name === "add_task" &&
    file.imports.some((one) =>
      one.name === "BackgroundTasks" || one.module === "starlette.background"
    )
  ) {
    return job(
      "background tasks",
      call.args[0]?.kind === "name" ? call.args[0].name : "task",
      call.args[0],
    );
  }
  return [];
}

/** `defaultJobOptions` of a queue, a constant's value where it names one. */
function defaults(all: Names, file: CodeFile, call: Call): Expr | undefined {
  const given = option(call, "defaultJobOptions");
  if (given?.kind === "name") {
    const found = all.define(file, given.name);
    return found?.kind === "value" ? found.value : given;
  }
  if (given) return given;
  const whole = call.args.find((one) => one.kind === "name");
  const found = whole?.kind === "name" ? all.define(file, whole.name) : null;
  const inner = found?.kind === "value" && found.value.kind === "map"
    ? found.value.entries.find(({ key }) => key === "defaultJobOptions")?.value
    : undefined;
  return inner;
}

/** arq's class with `functions = […]`. */
function listed(all: Names, file: CodeFile): Job[] {
  return file.classes.flatMap((klass) => {
    const own = file.statements.filter((one) => one.klass === klass && one.fn === null);
    const functions = own.find((one) => one.target === "functions")?.value;
    if (functions?.kind !== "list" || !/Worker|Settings/.test(klass.name)) return [];
    return functions.items.map((item): Job => {
      const wrapped = item.kind === "call" ? item.call : null;
      const target = wrapped ? wrapped.args[0] : item;
      return {
        queue: "arq",
        name: target?.kind === "name" ? target.name : "job",
        file,
        line: klass.line,
        handler: handlerOf(all, file, target),
        option: (name) =>
          (wrapped ? option(wrapped, name) : null) ??
            own.find((one) => one.target === name)?.value ?? null,
      };
    });
  });
}

function handlerOf(all: Names, file: CodeFile, value: Expr | undefined): Job["handler"] {
  if (value?.kind === "function") return { file, fn: value.fn };
  if (value?.kind !== "name") return null;
  const found = all.define(file, value.name);
  return found?.kind === "function" ? { file: found.file, fn: found.fn } : null;
}
