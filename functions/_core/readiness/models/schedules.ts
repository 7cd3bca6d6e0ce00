import type { Repository } from "../repository.ts";

/** Files that hold timetables: crontabs, timers, compose with its own scheduler, CronJobs, playbooks, installers. */
const HOLDERS =
  /(^|\/)(crontab|cron\.d\/[^/]+|cron\.(daily|hourly|weekly|monthly)\/[^/]+|[^/]*\.cron|[^/]*crontab[^/]*|[^/]*\.(timer|service)|[^/]*\.ya?ml|[^/]*\.sh|[^/]*\.tf|Dockerfile[^/]*|vercel\.json|[^/]*\.ini|[^/]*\.conf)$/;
/** Five fields of cron, or a word for them. */
const TIMES =
  /(^|["'\s=])((@(hourly|daily|midnight|weekly|monthly|every\b))|([\d*,/-]+[ \t]+){4}[\d*,/A-Za-z-]+)/;

/**
 * What starts a script at set times, as far as the files tell.
 *
 * @example
 * scheduleOf(repository, "ops/backup.sh")?.file; // "ops/crontab"
 */
export function scheduleOf(
  repository: Repository,
  script: string,
): { what: string; file: string; line: number } | null {
  const name = script.split("/").at(-1) ?? script;
  for (const { path, text } of repository.matching(HOLDERS)) {
    if (text === null || text.length > 500_000 || !text.includes(name)) continue;
    const lines = text.split("\n");
    for (const [at, line] of lines.entries()) {
      if (!line.includes(name) || /^\s*(#|\/\/)/.test(line)) continue;
      const here = { file: path, line: at + 1 };
      if (line.length < 2_000 && TIMES.test(line)) return { what: "a crontab", ...here };
      if (/\.service$/.test(path) && repository.file(path.replace(/service$/, "timer"))) {
        return { what: "a timer of systemd", ...here };
      }
      if (/(^|\/)cron\.(daily|hourly|weekly|monthly)\//.test(path)) {
        return { what: "cron", ...here };
      }
      const around = lines.slice(Math.max(0, at - 15), at + 16).join("\n");
      if (
        /kind:\s*CronJob|ofelia\.|swarm\.cronjob|\bcrond\b|supercronic|schedule:\s*["']?[@*\d]/
          .test(around)
      ) {
        return { what: "a timetable", ...here };
      }
      if (/\bcron:\s*$/m.test(around) && /(hour|minute|special_time):/.test(around)) {
        return { what: "a playbook's cron", ...here };
      }
      if (/while\s+(true|:)/.test(around) && /\bsleep\s+\S+/.test(around)) {
        return { what: "a loop that sleeps", ...here };
      }
    }
  }
  return /(^|\/)cron\.(daily|hourly|weekly|monthly)\//.test(script)
    ? { what: "cron", file: script, line: 1 }
    : null;
}
