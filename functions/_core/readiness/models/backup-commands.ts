import { type Command, isShell } from "./shell.ts";
import { type Tool, toolOf } from "./shell-tools.ts";

/** What a command does for the data: makes a copy, brings one back, or neither. */
export type Part = "backup" | "restore" | null;

const DUMPS =
  /(^|[\s/'"(])(pg_dump|pg_dumpall|pg_basebackup|mysqldump|mariadb-dump|mongodump|xtrabackup|mariabackup)\b/;
const RESTORES =
  /(^|[\s/'"(])(pg_restore|mongorestore)\b|\bpsql\b[^|;&]*(<|-f\s*)\s*["']?[^\s]*(dump|backup)/;
const HOSTS = new Set([
  "docker",
  "docker-compose",
  "podman",
  "kubectl",
  "oc",
  "flyctl",
  "fly",
  "heroku",
]);
/** Programs with a verb for each. */
const VERBS: Record<string, { backup: RegExp; restore: RegExp }> = {
  "wal-g": { backup: /^(backup|wal)-push$/, restore: /^(backup|wal)-fetch$/ },
  "wal-e": { backup: /^backup-push/, restore: /^backup-fetch/ },
  pgbackrest: { backup: /^backup$/, restore: /^restore$/ },
  barman: { backup: /^backup$/, restore: /^(recover|restore)$/ },
  "barman-cloud-backup": { backup: /^$/, restore: /^$/ },
  restic: { backup: /^backup$/, restore: /^restore$/ },
  borg: { backup: /^create$/, restore: /^extract$/ },
  borgmatic: { backup: /^create$/, restore: /^(restore|extract)$/ },
  kopia: { backup: /^snapshot$/, restore: /^restore$/ },
  litestream: { backup: /^replicate$/, restore: /^restore$/ },
  velero: { backup: /^(backup|schedule)$/, restore: /^restore$/ },
  bulkhead: { backup: /^backup$/, restore: /^(restore|drill)$/ },
};

/**
 * Whether a command makes a backup or restores one, inside a container too.
 *
 * @example
 * partOf(command); // of `docker compose exec -T db pg_dump app`: "backup"
 */
export function partOf(command: Command): Part {
  const { name, args } = dutyOf(command);
  if (args.some((one) => /^(--version|--help|--schema-only)$/.test(one))) return null;
  if (
    /^(pg_dump|pg_dumpall|pg_basebackup|mysqldump|mariadb-dump|mongodump|xtrabackup|mariabackup)$/
      .test(name)
  ) {
    return args.includes("-s") ? null : "backup";
  }
  if (/^(pg_restore|mongorestore)$/.test(name)) {
    return args.includes("--list") || args.includes("-l") ? null : "restore";
  }
  if (name === "psql" || name === "mysql" || name === "mariadb") {
    const fed = command.redirects.find(({ operator }) => operator === "<")?.target?.value ?? "";
    const file = args.find((one, at) =>
      args[at - 1] === "-f" || args[at - 1] === "--file" || one.startsWith("--file=")
    ) ?? "";
    return /dump|backup|restore/i.test(fed) || /dump|backup|restore/i.test(file) ? "restore" : null;
  }
  const verbs = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verbs) {
    if (args.some((one) => verbs.restore.test(one))) return "restore";
    const isPlain = name === "borgmatic" || name === "barman-cloud-backup";
    return isPlain || args.some((one) => verbs.backup.test(one)) ? "backup" : null;
  }
  if (name === "supabase") {
    return args[0] === "db" && args[1] === "dump" && !isSchema(args) ? "backup" : null;
  }
  if (name === "aws") return awsPart(args);
  if (name === "gcloud") {
    return args.includes("sql") && args.includes("export") ||
        (args.includes("backups") && args.includes("create"))
      ? "backup"
      : null;
  }
  if (HOSTS.has(name) && !isShell(name)) {
    const text = args.join(" ").slice(0, 2_000);
    if (DUMPS.test(text) && !/--schema-only/.test(text)) return "backup";
    return RESTORES.test(text) ? "restore" : null;
  }
  return null;
}

/** The tool; `node scripts/bin.mjs backup` is this kit's own command, started from its tree. */
function dutyOf(command: Command): Tool {
  const tool = toolOf(command);
  if (tool.name !== "node") return tool;
  const at = tool.args.findIndex((one) => !one.startsWith("-"));
  return /(^|\/)(bulkhead|bin)(\.m?js)?$/.test(tool.args[at] ?? "")
    ? { name: "bulkhead", args: tool.args.slice(at + 1) }
    : tool;
}

/** `supabase db dump` writes the schema alone, unless data is asked for. */
const isSchema = (args: readonly string[]) => !args.includes("--data-only");

function awsPart(args: readonly string[]): Part {
  if (
    args.includes("create-db-snapshot") || args.includes("create-db-cluster-snapshot") ||
    args.includes("start-backup-job")
  ) return "backup";
  return args.some((one) => /^restore-db-/.test(one)) ? "restore" : null;
}

/** What a copy has beyond being one. */
export type Attribute = "off-site" | "encrypted" | "retention" | "verified";

const ELSEWHERE = /^(s3|gs|b2|azure|az|swift|sftp|rest|rclone|r2|wasabi|gcs|abs):/i;

/** What a command of a backup's script adds to the copy. */
export function attributesOf(command: Command): Attribute[] {
  const { name, args } = dutyOf(command);
  const found: Attribute[] = [];
  const text = args.join(" ");
  if (
    /^(aws|rclone|gsutil|az|azcopy|b2|s3cmd|mc|scp|sftp|s5cmd|rsync|lftp)$/.test(name) ||
    (name === "gcloud" && args[0] === "storage")
  ) {
    if (
      name === "aws"
        ? args[0] === "s3" || args[0] === "s3api"
        : name === "rsync"
        ? /\w:/.test(text)
        : true
    ) {
      if (/\b(rm|delete|prune|purge)\b/.test(text)) found.push("retention");
      else found.push("off-site");
    }
    if (/--sse|sse-c|server-side-encryption|--encrypt/.test(text)) found.push("encrypted");
  }
  if (/^(restic|borg|borgmatic|kopia)$/.test(name)) {
    found.push("encrypted");
    if (/\b(forget|prune)\b|--keep-/.test(text)) found.push("retention");
    if (/\bcheck\b|\bverify\b/.test(text)) found.push("verified");
    if (args.some((one) => ELSEWHERE.test(one)) || /[\w.-]+@[\w.-]+:/.test(text)) {
      found.push("off-site");
    }
  }
  if (/^(wal-g|wal-e|pgbackrest|barman-cloud-backup|litestream)$/.test(name)) {
    if (name !== "pgbackrest") found.push("off-site");
    if (/\bdelete\b|\bexpire\b/.test(text)) found.push("retention");
    if (/\bcheck\b|\bverify\b/.test(text)) found.push("verified");
  }
  if (name === "bulkhead") {
    if (args.includes("backup")) found.push("encrypted", "off-site");
    if (args.includes("verify")) found.push("verified");
    if (args.includes("prune")) found.push("retention");
  }
  if (
    (name === "gpg" || name === "gpg2") &&
    /(^|\s)(-c|-e|--encrypt|--symmetric|-\w*[ce]\w*)(\s|$)/.test(text)
  ) found.push("encrypted");
  if (/^(age|rage)$/.test(name) && !args.includes("-d")) found.push("encrypted");
  if (
    name === "openssl" && /^(enc|smime|cms|pkeyutl)$/.test(args[0] ?? "") && !args.includes("-d")
  ) found.push("encrypted");
  if (name === "find" && (args.includes("-delete") || /-exec\s+rm/.test(text))) {
    found.push("retention");
  }
  if (name === "rm" && command.pipes.some(({ stage }) => stage > 0)) found.push("retention");
  if (name === "pg_restore" && /(^|\s)(-l|--list)(\s|$)/.test(text)) found.push("verified");
  if (/^(sha256sum|sha512sum|shasum|md5sum|b2sum)$/.test(name)) found.push("verified");
  if (/^(gzip|gunzip|zstd|pigz)$/.test(name) && /(^|\s)(-\w*t\w*|--test)(\s|$)/.test(text)) {
    found.push("verified");
  }
  return found;
}

/** Whether a command tells somebody: a webhook, a heartbeat, an issue, a mail. */
export function notifies(command: Command): boolean {
  const { name, args } = toolOf(command);
  const text = `${args.join(" ")} ${command.text}`;
  if (name === "curl" || name === "wget") {
    return /hooks\.slack|discord(app)?\.com\/api\/webhooks|hc-ping|healthchecks?|webhook|api\.telegram|pagerduty|opsgenie|ntfy|sentry|alert|heartbeat|betterstack|betteruptime|cronitor|pushover|mattermost|uptime|gotify|PING_URL/i
      .test(text);
  }
  if (name === "gh") return args[0] === "issue" && args[1] === "create";
  if (name === "aws") return args[0] === "sns" && args[1] === "publish";
  if (name === "trap") {
    return /\b(ERR|EXIT)\b/.test(text) && /notif|alert|mail|curl|fail|slack/i.test(text);
  }
  return /^(mail|mailx|sendmail|msmtp|apprise|ntfy|slack|notify[\w-]*|send[-_]?alert[\w.-]*|alert[\w.-]*)$/
    .test(name) ||
    (name === "bulkhead" && args[0] === "alert");
}
