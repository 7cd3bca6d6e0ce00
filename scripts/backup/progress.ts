import process from "node:process";
import { Presets, SingleBar } from "cli-progress";
import type { BackupProgress } from "../../functions/_core/backup/run-backup.ts";

/** Shows progress until `stop`. */
export type Progress = { report(progress: BackupProgress): void; stop(): void };

/**
 * JSON lines with --json, a bar on a terminal, one line a tenant otherwise; always on stderr.
 *
 * @example
 * const progress = progressOf(false);
 * progress.report({ event: "started", backup: id, tenants: 3 });
 */
export function progressOf(json: boolean): Progress {
  const { stderr } = process;
  if (json) {
    return {
      report: (progress) => {
        if (progress.event !== "bytes") stderr.write(`${JSON.stringify(progress)}\n`);
      },
      stop: () => {},
    };
  }
  if (!stderr.isTTY) {
    return {
      report: (progress) => {
        const line = lineOf(progress);
        if (line !== "") stderr.write(`${line}\n`);
      },
      stop: () => {},
    };
  }
  const bar = new SingleBar({
    stream: stderr,
    format: "{bar} {value}/{total} objects  {read} read  {tenant}",
    clearOnComplete: true,
    hideCursor: true,
  }, Presets.shades_classic);
  let read = 0;
  return {
    report(progress) {
      if (progress.event === "started") {
        bar.start(progress.tenants + 1, 0, { read: bytes(0), tenant: "" });
      } else if (progress.event === "bytes") bar.update({ read: bytes(read += progress.bytes) });
      else if (progress.event === "object") bar.increment(1, { tenant: progress.tenant });
      else stderr.write(`${lineOf(progress)}\n`);
    },
    stop: () => bar.stop(),
  };
}

function lineOf(progress: BackupProgress): string {
  if (progress.event === "started") {
    return `Backup ${progress.backup}: ${plural(progress.tenants, "tenant")}`;
  }
  if (progress.event === "warning") return `Warning: ${progress.message}`;
  if (progress.event !== "object") return "";
  const what = progress.isReferenced ? "unchanged" : bytes(progress.size);
  return `  ${progress.tenant}  ${plural(progress.rows, "row")}  ${what}`;
}

/** A size for people. */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count / 1024;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value.toFixed(1)} ${units[unit]}`;
}

/**
 * A count for people.
 *
 * @example
 * plural(1, "backup"); // "1 backup"
 */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
