import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, withCode } from "../models/code.ts";
import { last, names, option, walk } from "../models/names.ts";
import { place } from "../models/servers.ts";
import { workers } from "../models/workers.ts";

const KEYS = [
  "jobId",
  "_job_id",
  "job_id",
  "singletonKey",
  "idempotency",
  "idempotencyKey",
  "idempotency_key",
  "deduplication",
  "job_key",
  "jobKey",
  "task_id",
  "unique",
];
const ONCE =
  /idempoten|on_conflict|onConflict|skipDuplicates|get_or_create|already_(processed|sent|done|exists|run)|processed_(at|events)|dedup|advisory_?lock|acquire_?lock|setnx|\bnx$|upsert/i;

/** A queue delivers at least once: the second time must do no harm. */
export const idempotentJobs: Rule = {
  id: "JOB-03",
  name: "idempotent-jobs",
  area: "db",
  severity: "p1",
  confidence: "low",
  section: 2,
  title: "A job that is delivered twice does its work once",
  remedy: "give each job a key, or let the handler see what is done already before it acts",
  check: withCode((repository) => {
    const { jobs } = workers(repository);
    const real = jobs.filter(({ queue }) => queue !== "background tasks");
    const [first] = real;
    if (!first) return conclude([], { status: "not-applicable", summary: "no queue is used" });
    const all = names(repository);
    const evidence: Evidence[] = [];
    for (const file of code(repository)) {
      for (const call of file.calls) {
        if (
          !/^(add|enqueue|enqueue_job|send|apply_async|createFunction|singletonSend|trigger|batchTrigger)$/
            .test(last(call.callee))
        ) continue;
        const key = KEYS.find((name) => option(call, name) !== null);
        if (key) {
          evidence.push(place("strength", { file, line: call.line }, `jobs are sent with ${key}`));
        }
      }
    }
    for (const job of real) {
      if (!job.handler) continue;
      const word = all.reach(job.handler, 2).flatMap(({ fn }) => all.body(fn)).flatMap((
        one,
      ) => [...walk(one.value)])
        .flatMap((one) =>
          one.kind === "name"
            ? [one.name]
            : one.kind === "call"
            ? [one.call.callee]
            : one.kind === "text" && /on conflict/i.test(one.value)
            ? ["on_conflict"]
            : []
        )
        .find((one) => ONCE.test(one));
      if (word) {
        evidence.push(
          place("strength", job, `${job.name} asks what is done already (${last(word)})`),
        );
      }
    }
    if (evidence.length === 0) {
      evidence.push(
        place(
          "weakness",
          first,
          "no job has a key, and no handler was seen to ask what is done already",
          "p2",
        ),
      );
    }
    return conclude(evidence, { status: "unknown", summary: "" });
  }),
};
