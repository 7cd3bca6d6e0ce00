import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, type Expr, withCode } from "../models/code.ts";
import { last, names, option } from "../models/names.ts";
import { place } from "../models/servers.ts";
import { type Job, workers } from "../models/workers.ts";
import type { Repository } from "../repository.ts";

const MOST = 30;

/** The network fails now and then: a job that is tried once is lost then, one that is tried for ever holds the queue. */
export const retries: Rule = {
  id: "JOB-01",
  name: "retries",
  area: "observability",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Jobs are tried again a bounded number of times, with growing pauses and a timeout",
  remedy: "set the number of tries, an exponential pause with jitter, and a timeout for each job",
  check: withCode((repository) => {
    const { jobs, queues } = workers(repository);
    const hasQueue = queues.size > 0;
    const evidence = jobs
      .filter(({ queue }) => queue !== "background tasks" || !hasQueue)
      .map((job) => judge(repository, job));
    const [first] = [...queues];
    if (evidence.length === 0 && first) {
      evidence.push(
        place("unknown", first[1], `${first[0]} is imported, and no job of it was found`),
      );
    }
    return conclude(evidence.slice(0, MOST), {
      status: "not-applicable",
      summary: "no background jobs",
    });
  }),
};

function judge(repository: Repository, job: Job): Evidence {
  const what = `${job.queue} ${job.name}`;
  const { option: of } = job;
  const is = (kind: Evidence["kind"], message: string, severity?: Evidence["severity"]) =>
    place(kind, job, `${what} ${message}`, severity);
  const off = (value: Expr | null) => value?.kind === "number" && value.value === 0;
  switch (job.queue) {
    case "celery": {
      const own = of("autoretry_for") ?? of("retry_kwargs") ?? of("max_retries");
      const calls = job.handler?.fn.calls ?? [];
      const again = calls.some(({ callee }) =>
        /(^|\.)(self|current_task|\w+)\.retry$/.test(callee)
      );
      const base = of("base");
      if (off(of("max_retries"))) return is("gap", "is tried once");
      if (!own && !again && !base) {
        return is("gap", "is not tried again: celery retries nothing by itself");
      }
      const grows = of("retry_backoff") ??
        calls.flatMap((call) => /\.retry$/.test(call.callee) ? [option(call, "countdown")] : [])
          .find((one) => one !== null) ??
        null;
      const limit = of("time_limit") ?? of("soft_time_limit") ??
        configured(repository, /task_(soft_)?time_limit$|TASK_(SOFT_)?TIME_LIMIT$/);
      if (!grows || (grows.kind === "flag" && !grows.value)) {
        return is("weakness", "is tried again without growing pauses", "p2");
      }
      return limit ? is("strength", "is tried again with growing pauses and ends in time") : is(
        "weakness",
        "is tried again with growing pauses, and nothing ends one that hangs",
        "p2",
      );
    }
    case "dramatiq":
      return off(of("max_retries"))
        ? is("gap", "is tried once")
        : is("strength", "is tried again with growing pauses, as dramatiq does by itself");
    case "rq":
      return of("retry")
        ? is("strength", "is tried again")
        : is("gap", "is not tried again: rq retries nothing by itself");
    case "arq": {
      const tries = of("max_tries");
      const raises = job.handler
        ? names(repository).reach(job.handler, 1).some(({ fn }) =>
          fn.calls.some(({ callee }) => /(^|\.)Retry$/.test(callee))
        )
        : false;
      if (tries?.kind === "number" && tries.value <= 1) return is("gap", "is tried once");
      if (raises) {
        return is("strength", "asks to be tried again, and waits longer each time it says so");
      }
      return is(
        "weakness",
        "is not tried again when it raises: arq retries only where a job raises Retry",
        "p2",
      );
    }
    case "bullmq":
    case "bull": {
      const attempts = of("attempts");
      if (!attempts) {
        const added = sent(repository, "attempts");
        return added
          ? is("strength", "is sent with a number of attempts")
          : is("gap", "is tried once: attempts is 1 unless it is set");
      }
      if (attempts.kind === "number" && attempts.value <= 1) return is("gap", "is tried once");
      return of("backoff")
        ? is("strength", "is tried again with pauses")
        : is("weakness", "is tried again at once, without a pause", "p2");
    }
    case "pg-boss": {
      const limit = of("retryLimit");
      if (off(limit)) return is("gap", "is tried once");
      return of("retryBackoff") ? is("strength", "is tried again with growing pauses") : is(
        "weakness",
        limit
          ? "is tried again without growing pauses"
          : "is tried again as often as pg-boss's version does by itself",
        "p2",
      );
    }
    case "inngest":
      return off(of("retries"))
        ? is("gap", "is tried once")
        : is("strength", "is tried again with growing pauses, as Inngest does by itself");
    case "trigger.dev":
      return is("strength", "is tried again as Trigger.dev is configured");
    case "graphile-worker":
      return is(
        "strength",
        "is tried again with growing pauses, as graphile-worker does by itself",
      );
    case "background tasks":
      return is(
        "weakness",
        "runs in the process that answered: it is lost with it and never tried again",
        "p2",
      );
  }
}

/** A setting of the whole queue: `app.conf.task_time_limit = 30`, `CELERY_TASK_TIME_LIMIT`. */
function configured(repository: Repository, name: RegExp): Expr | null {
  for (const file of code(repository)) {
    for (const one of file.statements) {
      if (one.kind === "assign" && name.test(one.target ?? "")) return one.value;
    }
    for (const call of file.calls) {
      if (!/(^|\.)(conf\.update|Celery)$/.test(call.callee)) continue;
      const own = call.named.find((one) => name.test(one.name))?.value;
      if (own) return own;
      for (const arg of call.args) {
        const inner = arg.kind === "map"
          ? arg.entries.find(({ key }) => key !== null && name.test(key))
          : undefined;
        if (inner) return inner.value;
      }
    }
  }
  return null;
}

/** Whether jobs carry an option where they are added: `queue.add(name, data, { attempts: 3 })`. */
function sent(repository: Repository, name: string): boolean {
  return code(repository).some((file) =>
    file.calls.some((call) =>
      /^(add|addBulk)$/.test(last(call.callee)) && option(call, name) !== null
    )
  );
}
