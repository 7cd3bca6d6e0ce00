import { lineAt } from "../../lines.ts";
import type { Repository } from "../repository.ts";
import { type Attribute, attributesOf, notifies, type Part, partOf } from "./backup-commands.ts";
import { environment, type Service, textAt } from "./compose-service.ts";
import { compose } from "./compose.ts";
import { ciOf } from "./ci-commands.ts";
import { scheduleOf } from "./schedules.ts";
import type { Command } from "./shell.ts";
import { shellSources } from "./shell-sources.ts";
import type { Job } from "./workflows.ts";

/** A backup or a restore where it is written, and what starts it. */
export type Duty = {
  part: "backup" | "restore";
  what: string;
  file: string;
  line: number;
  /** What starts it by itself, null where nothing does that can be seen. */
  schedule: { what: string; file: string; line: number } | null;
  attributes: Set<Attribute>;
  /** Who is told when it fails. */
  alarm: { file: string; line: number } | null;
  /** A download that takes an error page for a file: curl without `-f`. */
  blind: number | null;
  /** A provider or an operator that does it all: what it has beyond can't be seen. */
  isManaged: boolean;
};

/**
 * Every backup and restore of the repository.
 *
 * @example
 * dutiesOf(repository).filter(({ part, schedule }) => part === "backup" && schedule);
 */
export function dutiesOf(repository: Repository): Duty[] {
  return repository.once("backup duties", () => [
    ...inJobs(repository),
    ...inScripts(repository),
    ...inServices(repository),
    ...inDeclarations(repository),
  ]);
}

type Seen = { command: Command; file: string; line: number };

/** Of commands that run together: the first of each part, and what all of them add. */
function gather(
  seen: readonly Seen[],
  schedule: Duty["schedule"],
  alarm: Duty["alarm"],
  around: readonly Seen[] = seen,
): Duty[] {
  const attributes = new Set(around.flatMap(({ command }) => attributesOf(command)));
  const told = seen.find(({ command }) => notifies(command));
  const blind = seen.find(({ command: { program, args } }) =>
    program === "curl" && args.some((one) => /^-[a-zA-Z]*[oO]$|^--output/.test(one)) &&
    !args.some((one) => /^-[a-zA-Z]*f[a-zA-Z]*$|^--fail/.test(one))
  );
  return (["backup", "restore"] as const).flatMap((part): Duty[] => {
    const first = seen.find(({ command }) => partOf(command) === part);
    if (!first) return [];
    const { command, file, line } = first;
    return [{
      ...{ part, file, line, schedule, attributes, isManaged: false },
      what: command.program === "" ? part : `\`${command.text.slice(0, 60)}\``,
      alarm: alarm ?? (told ? { file: told.file, line: told.line } : null),
      blind: blind?.line ?? null,
    }];
  });
}

function inJobs(repository: Repository): Duty[] {
  const ci = ciOf(repository);
  return ci.jobs.flatMap((job) => {
    const seen = ci.commands.filter((one) => one.job === job);
    if (!seen.some(({ command }) => partOf(command) !== null)) return [];
    const workflow = job.github?.workflow;
    const trigger = workflow?.triggers.find(({ name }) => name === "schedule");
    const schedule = trigger
      ? { what: "a scheduled workflow", file: job.file, line: trigger.line }
      : null;
    // Another job may watch this one.
    const others = workflow?.jobs.filter((one) => one.needs.includes(job.id)) ?? [];
    const own = job.github ? [job.github.job, ...others] : [];
    const alarm = own.map(alarmOf).find((line) => line !== null) ?? null;
    // Other jobs of the workflow may check what this one wrote, and remove what is old.
    const around = ci.commands.filter((one) => one.job.file === job.file);
    const told = alarm === null ? null : { file: job.file, line: alarm };
    return gather(seen, schedule, told, around);
  });
}

const TELLS =
  /slack|discord|telegram|teams|mail|pagerduty|opsgenie|ntfy|notify|create-an-issue|issue|sns|healthcheck|alert|ping/i;

/** The line of a step that tells somebody of a failure. */
function alarmOf(job: Job): number | null {
  for (const { if: condition, uses, run, line } of job.steps) {
    const asks = `${job.if ?? ""} ${condition ?? ""}`;
    if (!/failure\(\)|always\(\)|status|result|outcome|conclusion|!\s*success\(\)/.test(asks)) {
      continue;
    }
    if (uses && TELLS.test(uses.repository)) return line;
    if (uses?.repository === "actions/github-script") return line;
    if (run?.shell?.commands.some(notifies)) return line;
    if (run && /webhook|slack|issue create|mail/i.test(run.text)) return line;
  }
  return null;
}

/** Scripts that no job runs: whoever or whatever starts them stands elsewhere. */
function inScripts(repository: Repository): Duty[] {
  const inCi = new Set(ciOf(repository).commands.map(({ command }) => command));
  return shellSources(repository).flatMap(({ file, kind, shell }) => {
    if (kind === "workflow" || kind === "gitlab") return [];
    const { context } = repository.file(file) ?? {};
    if (context === "test" || context === "docs") return [];
    if (shell.commands.some((one) => inCi.has(one))) return [];
    if (!shell.commands.some((one) => partOf(one) !== null)) return [];
    const seen = shell.commands.map((command) => ({ command, file, line: command.line }));
    const sleep = shell.commands.find(({ program, within }) =>
      program === "sleep" && within.includes("loop")
    );
    const loops = sleep &&
      shell.commands.some((one) =>
        partOf(one) === "backup" && one.within.includes("loop") && !one.isTested
      );
    const schedule = loops
      ? { what: "a loop that sleeps", file, line: sleep.line }
      : kind === "make"
      ? null
      : scheduleOf(repository, file);
    return gather(seen, schedule, null);
  });
}

const IMAGES =
  /(postgres|postgresql|pg|mysql|mariadb|mongo|db)[-_]?(s3[-_]?)?(backup|dump)|backup[-_]?(postgres|pg|mysql|mongo|s3|db)|docker-volume-backup|volume-backup|pgbackrest|wal-g|barman|restic|kopia|litestream|databacker|db-backup|autorestic|borgmatic|duplicati/i;

function inServices(repository: Repository): Duty[] {
  return compose(repository).projects.flatMap(({ services, isProduction }) =>
    services.flatMap((service): Duty[] => {
      const image = textAt(service, "image") ?? "";
      if (!IMAGES.test(image) || !isProduction) return [];
      const { file, line } = service;
      return [{
        ...{ part: "backup", file, line, blind: null, isManaged: false },
        what: `the service ${service.name} runs ${image}`,
        schedule: { what: "the image keeps its own timetable", file, line },
        attributes: serviceAttributes(service, image),
        alarm: environment(service).some(({ name }) =>
            /NOTIFICATION|WEBHOOK|HEALTHCHECK|PING|SMTP|MAIL|SLACK|ALERT/.test(name)
          )
          ? { file, line }
          : null,
      }];
    })
  );
}

function serviceAttributes(service: Service, image: string): Set<Attribute> {
  const found = new Set<Attribute>();
  if (/restic|kopia|borg/.test(image)) found.add("encrypted");
  for (const { name, value } of environment(service)) {
    if (/S3|AWS_|B2_|AZURE|GCS|WEBDAV|SSH_HOST|RCLONE|REPOSITORY|DROPBOX/.test(name)) {
      found.add("off-site");
    }
    if (/PASSPHRASE|ENCRYPT|GPG|AGE_|RESTIC_PASSWORD/.test(name)) found.add("encrypted");
    if (/KEEP|RETENTION|CLEANUP|PRUN|FORGET|DELETE_OLDER|REMOVE_BEFORE/.test(name)) {
      found.add("retention");
    }
    if (/CHECK|VERIFY|CHECKSUM|MD5|SHA/.test(name)) found.add("verified");
    if (/^(s3|b2|sftp|rest|gs|azure):/.test(value ?? "")) found.add("off-site");
  }
  return found;
}

/** Terraform, and Kubernetes' own objects. */
function inDeclarations(repository: Repository): Duty[] {
  const found: Duty[] = [];
  for (const { path, text, context } of repository.files) {
    if (text === null || context === "vendored" || context === "test" || context === "docs") {
      continue;
    }
    const add = (at: number, what: string, attributes: Attribute[], part: "backup" = "backup") => {
      const line = lineAt(text, at);
      const schedule = { what, file: path, line };
      const rest = { attributes: new Set(attributes), alarm: null, blind: null, isManaged: true };
      found.push({ part, what, file: path, line, schedule, ...rest });
    };
    if (/\.tf$/.test(path)) {
      const at = text.search(
        /^[ \t]*(backup_retention_period\s*=\s*([1-9]|var\.|local\.)|backup_retention_days\s*=\s*([1-9]|var\.)|point_in_time_recovery\w*\s*=\s*true)|resource\s+"aws_backup_(plan|selection)"|backup_configuration\s*\{\s*enabled\s*=\s*true/m,
      );
      if (at >= 0) {
        add(at + (text.slice(at).search(/\S/)), "the provider keeps backups", ["retention"]);
      }
    } else if (/\.ya?ml$/.test(path)) {
      const kind = text.search(/^kind:\s*["']?(ScheduledBackup|Schedule)["']?\s*$/m);
      if (kind >= 0 && /cnpg|velero|postgresql/i.test(text)) {
        add(kind, "an operator backs up on a timetable", ["off-site"]);
      }
      const job = text.search(/^kind:\s*["']?CronJob["']?\s*$/m);
      const dump = job < 0 ? -1 : text.search(
        /\b(pg_dump(all)?|pg_basebackup|mysqldump|mongodump|wal-g|restic|pgbackrest)\b/,
      );
      if (dump >= 0) {
        const elsewhere = /\b(aws\s+s3|rclone|gsutil|s3cmd|mc\s+cp|S3_BUCKET|az\s+storage)\b/.test(
          text,
        );
        add(job, "a CronJob makes a dump", [
          ...(elsewhere ? ["off-site" as const] : []),
          ...(/\b(gpg|age\s+-|openssl\s+enc|restic)\b/.test(text) ? ["encrypted" as const] : []),
          ...(/-mtime|--keep-|lifecycle|expire/.test(text) ? ["retention" as const] : []),
        ]);
        const last = found.at(-1);
        if (last) last.isManaged = false;
      }
    }
  }
  return found;
}

/** A page that tells how a backup is made or brought back. */
export function pagesAbout(
  repository: Repository,
  part: Exclude<Part, null>,
): { file: string; line: number } | null {
  const heading = part === "backup"
    ? /^#{1,4} .*\b(back(ing)?[ -]?ups?)\b|\bpg_dump\b/im
    : /^#{1,4} .*\b(restor(e|ing|ation)|recover(y|ing)|disaster)\b|\bpg_restore\b/im;
  for (const { path, text } of repository.matching(/\.(md|mdx|rst|adoc|txt)$/i)) {
    if (text === null || /(^|\/)(changelog|license|history)/i.test(path)) continue;
    const at = text.search(heading);
    if (at >= 0) return { file: path, line: lineAt(text, at) };
  }
  return null;
}
