import process from "node:process";
import type { RestoreProgress } from "../../functions/_core/backup/restore-backup.ts";
import type { BackupProgress } from "../../functions/_core/backup/run-backup.ts";
import { counted } from "../../functions/_core/counted.ts";

/** Shows progress until `stop`. */
export type Progress = { report(progress: BackupProgress): void; stop(): void };

/**
 * A bar on a terminal, JSON lines otherwise and with --json; always on stderr.
 *
 * @example
 * const progress = await progressOf(false);
 * progress.report({ event: "started", backup: id, tenants: 3 });
 */
export async function progressOf(json: boolean): Promise<Progress> {
  return json || !process.stderr.isTTY ? lines() : await bar();
}

function lines(): Progress {
  let waiting = "";
  const flush = () => {
    if (waiting !== "") process.stderr.write(waiting);
    waiting = "";
  };
  return {
    report: (progress) => {
      if (progress.event === "bytes") return;
      // A night tells of a thousand unchanged tenants in one breath, and each write is a call into the system.
      if (waiting === "") setImmediate(flush);
      waiting += `${JSON.stringify(progress)}\n`;
    },
    stop: flush,
  };
}

async function bar(): Promise<Progress> {
  // A night has no terminal: whoever watches one waits for it.
  const { Presets, SingleBar } = await import("cli-progress");
  const { stderr } = process;
  const bar = new SingleBar({
    stream: stderr,
    format: "{bar} {value}/{total} tenants  {read} read  {tenant}",
    clearOnComplete: true,
    hideCursor: true,
  }, Presets.shades_classic);
  const done = new Set<string>();
  // Said when the bar is gone: it would draw over them.
  const said: string[] = [];
  let read = 0;
  return {
    report(progress) {
      if (progress.event === "started") {
        bar.start(progress.tenants + 1, 0, { read: bytes(0), tenant: "" });
      } else if (progress.event === "bytes") bar.update({ read: bytes(read += progress.bytes) });
      else if (progress.event === "object") {
        bar.update(done.add(progress.tenant).size, {
          tenant: printable(progress.tenant).slice(0, 40),
        });
      } else if (progress.event === "warning") said.push(`Warning: ${progress.message}`);
    },
    stop() {
      bar.stop();
      for (const line of said.splice(0)) stderr.write(`${line}\n`);
    },
  };
}

/**
 * What a restore or a verification has done, one line a tenant or part, on stderr.
 *
 * @example
 * await verifyBackup({ store, keyring, manifest, onProgress: reportObject });
 */
export function reportObject({ tenant, rows, done, total }: RestoreProgress): void {
  process.stderr.write(`  ${done}/${total}  ${printable(tenant)}  ${counted(rows, "row")}\n`);
}

/** A tenant's id is the customer's text: it must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, "?");
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
 * An age for people.
 *
 * @example
 * ago(7_300); // "2 h old"
 */
export function ago(seconds: number): string {
  if (seconds < 3_600) return `${Math.max(0, Math.floor(seconds / 60))} min old`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h old`;
  return `${Math.floor(seconds / 86_400)} d old`;
}
