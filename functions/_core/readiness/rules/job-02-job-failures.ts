import { conclude, type Evidence, type Rule } from "../rule.ts";
import { type Call, code, type CodeFile, type Expr, withCode } from "../models/code.ts";
import { last, literal, names } from "../models/names.ts";
import { place, sentryInits } from "../models/servers.ts";
import { workers } from "../models/workers.ts";

const TELLS =
  /captureException|capture_exception|captureMessage|capture_message|alert|notify|slack|pager|opsgenie|incident|send_?mail|sendEmail|webhook|dead_?letter|dlq|report|emit|inc$|increment|failedJobs|counter/i;
const DEAD = /dead_?letter|(^|_)dlq(_|$)|failed_?jobs?(_?queue)?$/i;

/** A queue is silent: what fails there, nobody waits for. */
export const jobFailures: Rule = {
  id: "JOB-02",
  name: "job-failures",
  area: "observability",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "A job that fails for good is kept and somebody is told",
  remedy: "handle the queue's failure event: report it, and keep the job where it can be run again",
  check: withCode((repository) => {
    const { queues, jobs } = workers(repository);
    const real = [...queues].filter(([queue]) => queue !== "background tasks");
    const [first] = real;
    if (!first) return conclude([], { status: "not-applicable", summary: "no queue is used" });
    const all = names(repository);
    const evidence: Evidence[] = [];
    const [queue, at] = first;
    for (const file of code(repository)) {
      for (const call of file.calls) {
        const isEvent = /\.(on|once)$/.test(call.callee) &&
          /^(failed|error|stalled)$/.test(literal(call.args[0]) ?? "") &&
          /worker|queue|events|boss/i.test(call.callee);
        const handler = call.args[1];
        if (isEvent && literal(call.args[0]) === "failed" && handler) {
          evidence.push(
            told(handlerCalls(file, handler))
              ? place("strength", { file, line: call.line }, "a failed job is reported")
              : place(
                "weakness",
                { file, line: call.line },
                "a failed job is only written to the log",
                "p2",
              ),
          );
        }
        const isSignal = /(^|\.)task_failure\.connect$/.test(call.callee);
        if (isSignal) {
          evidence.push(place("strength", { file, line: call.line }, "task_failure is handled"));
        }
        if (
          call.callee.endsWith("createFunction") &&
          call.args.some((one) =>
            one.kind === "map" && one.entries.some(({ key }) => key === "onFailure")
          )
        ) {
          evidence.push(place("strength", { file, line: call.line }, "onFailure is handled"));
        }
      }
      for (const fn of file.functions) {
        const isHook = fn.decorators.some((one) => {
          const name = one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : "";
          return /(^|\.)task_failure\.connect$|^OnQueueFailed$/.test(name) ||
            (name === "OnWorkerEvent" && one.kind === "call" &&
              literal(one.call.args[0]) === "failed");
        });
        const isMethod = fn.klass !== null && fn.name === "on_failure";
        if (isHook || isMethod) {
          evidence.push(
            place("strength", { file, line: fn.line }, `${fn.name}() handles failures`),
          );
        }
      }
      for (const one of file.statements) {
        const isKept = one.kind === "assign" && DEAD.test(last(one.target ?? "")) &&
          one.fn === null;
        if (isKept) {
          evidence.push(
            place("strength", { file, line: one.line }, `${one.target} keeps what failed`),
          );
        }
      }
    }
    // Sentry's Python integrations of celery, rq, arq and dramatiq start by themselves.
    const sentry = sentryInits(repository).find(({ file }) => file.language === "python");
    if (sentry && at.file.language === "python") {
      evidence.push(
        place(
          "strength",
          { file: sentry.file, line: sentry.call.line },
          `Sentry takes the exceptions of ${queue}`,
        ),
      );
    }
    const byHand = jobs.find(({ handler }) =>
      handler !== null &&
      all.reach(handler, 0).some(({ fn, file }) =>
        file.calls.some((call) =>
          call.site.fn === fn && call.site.caught !== null && TELLS.test(last(call.callee)) &&
          !/logger|console/.test(call.callee)
        )
      )
    );
    if (byHand) evidence.push(place("strength", byHand, `${byHand.name} reports what it catches`));
    if (evidence.some(({ kind }) => kind === "strength")) {
      return conclude(evidence.filter(({ kind }) => kind === "strength"), {
        status: "unknown",
        summary: "",
      });
    }
    if (evidence.length === 0) {
      evidence.push(place("gap", at, `nobody is told when a job of ${queue} fails`));
    }
    return conclude(evidence, { status: "unknown", summary: "" });
  }),
};

function handlerCalls(file: CodeFile, handler: Expr): Call[] {
  if (handler.kind === "function") return handler.fn.calls;
  if (handler.kind !== "name") return [];
  return file.functions.find(({ name }) => name === handler.name)?.calls ?? [];
}

function told(calls: readonly Call[]): boolean {
  return calls.some(({ callee }) =>
    TELLS.test(callee) && !/^(console|logger|log)\b|\.(logger|log)\./i.test(callee)
  );
}
