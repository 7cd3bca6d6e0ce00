import { Cron } from "croner";
import postgres from "postgres";
import { counted } from "../../functions/_core/counted.ts";
import { messageOf } from "../../functions/_core/errors.ts";

/** One run of a job, as cron.job_run_details has it, and when it was due. */
export type Run = {
  jobid: number;
  jobname: string | null;
  due: Date;
  status: "succeeded" | "failed";
  message: string;
};

/** The clock that pg_cron has and the stand-in lacks: nothing runs until `tick` says what time it is. */
export type Scheduler = AsyncDisposable & {
  /** Run every job that was due after the previous tick and until `at`, in order, the same job as often as it was due. */
  tick(at: Date): Promise<Run[]>;
  stop(): Promise<void>;
};

type Job = {
  jobid: string;
  jobname: string | null;
  schedule: string;
  command: string;
  username: string;
};

/**
 * Run the jobs of cron.job as pg_cron would: each as its own user, in a connection and transaction of its own, recorded
 * in cron.job_run_details, where a failure stays a row and stops nothing. Connect as the superuser when jobs belong to
 * several users.
 *
 * @example
 * const scheduler = startScheduler(db.superUrl, { from: new Date("2026-11-20T01:00:00Z") });
 * const runs = await scheduler.tick(new Date("2026-11-20T01:05:00Z"));
 */
export function startScheduler(url: string, options: { from?: Date } = {}): Scheduler {
  // bulkhead-ignore raw-pool: stands for pg_cron, which reads its own tables
  const sql = postgres(url, { max: 1, onnotice: () => {}, prepare: false });
  let last = options.from ?? new Date();
  const stop = () => sql.end({ timeout: 5 });
  return {
    async tick(at) {
      const jobs = await sql<Job[]>`
        select jobid, jobname, schedule, command, username
        from cron.job
        where active and database = current_database()
        order by jobid
      `;
      const due = jobs
        .flatMap((job) => dueTimes(job.schedule, last, at).map((time) => ({ job, time })))
        .sort((a, b) => a.time.getTime() - b.time.getTime());
      last = at;
      const runs: Run[] = [];
      for (const { job, time } of due) runs.push(await runJob(sql, url, job, time));
      return runs;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * The times in (after, until] at which a pg_cron schedule is due, in UTC.
 *
 * @example
 * dueTimes("0 2 * * *", new Date("2026-11-20T00:00Z"), new Date("2026-11-21T00:00Z")); // [02:00]
 */
export function dueTimes(schedule: string, after: Date, until: Date): Date[] {
  const seconds = /^\s*(\d+)\s+seconds?\s*$/.exec(schedule)?.[1];
  if (seconds !== undefined) {
    const step = Number(seconds) * 1000;
    const first = (Math.floor(after.getTime() / step) + 1) * step;
    const count = Math.max(0, Math.floor((until.getTime() - first) / step) + 1);
    return Array.from({ length: count }, (_, i) => new Date(first + i * step));
  }
  if (schedule.trim() === "@reboot") return [];
  // pg_cron writes the last day of the month as $, croner as L
  const cron = new Cron(schedule.trim().replace("$", "L"), { timezone: "UTC", paused: true });
  const times: Date[] = [];
  for (let next = cron.nextRun(after); next && next <= until; next = cron.nextRun(next)) {
    times.push(next);
  }
  return times;
}

async function runJob(sql: postgres.Sql, url: string, job: Job, due: Date): Promise<Run> {
  const [started] = await sql<{ runid: string }[]>`
    insert into cron.job_run_details (jobid, database, username, command, status, start_time)
    values (${job.jobid}, current_database(), ${job.username}, ${job.command}, 'running', clock_timestamp())
    returning runid
  `;
  const { status, message, pid } = await execute(url, job);
  await sql`
    update cron.job_run_details
    set status = ${status}, return_message = ${message}, end_time = clock_timestamp(), job_pid = ${pid}
    where runid = ${started?.runid ?? null}
  `;
  return { jobid: Number(job.jobid), jobname: job.jobname, due, status, message };
}

async function execute(
  url: string,
  job: Job,
): Promise<{ status: Run["status"]; message: string; pid: number | null }> {
  // bulkhead-ignore raw-pool: a job runs as its own user, as pg_cron lets it
  const session = postgres(url, { max: 1, onnotice: () => {}, prepare: false });
  let pid: number | null = null;
  try {
    const [me] = await session<{ pid: number; name: string; super: boolean }[]>`
      select pg_backend_pid() as pid, current_user::text as name, rolsuper as super
      from pg_catalog.pg_roles where rolname = current_user
    `;
    pid = me?.pid ?? null;
    // a session of its own, as if the user had logged in: the kit trusts by role
    if (me && me.name !== job.username) {
      const user = `"${job.username.replaceAll('"', '""')}"`;
      // bulkhead-ignore session-context: the connection is this one job's
      await session.unsafe(me.super ? `set session authorization ${user}` : `set role ${user}`);
    }
    const result = await session.unsafe(job.command).simple();
    return { status: "succeeded", message: tag(result), pid };
  } catch (error) {
    const text = messageOf(error);
    return { status: "failed", message: `ERROR:  ${text}\n`, pid };
  } finally {
    await session.end({ timeout: 5 });
  }
}

/** What pg_cron notes about a success: the row count of a query, the command tag of anything else. */
function tag(result: unknown): string {
  const all = Array.isArray(result) && Array.isArray(result[0]) ? result : [result];
  const final = all.at(-1) as { command?: string; count?: number | null } | undefined;
  const count = final?.count ?? 0;
  if (final?.command === "SELECT") return counted(count, "row");
  if (final?.command === "INSERT") return `INSERT 0 ${count}`;
  return [final?.command, final?.count ?? undefined].filter((part) => part !== undefined).join(" ");
}
