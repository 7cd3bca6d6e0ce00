import process from "node:process";
import { Presets, SingleBar } from "cli-progress";

/** Told how far the audit is; `stop` takes the bar away. */
export type Progress = { report: (done: number, total: number) => void; stop: () => void };

/**
 * A bar on a terminal, nothing elsewhere; on stderr.
 *
 * @example
 * const progress = progressOf();
 * progress.report(3, 105);
 */
export function progressOf(): Progress {
  if (!process.stderr.isTTY) return { report: () => {}, stop: () => {} };
  const bar = new SingleBar({
    stream: process.stderr,
    format: "{bar} {value}/{total} rules",
    clearOnComplete: true,
    hideCursor: true,
  }, Presets.shades_classic);
  return {
    report(done, total) {
      if (bar.isActive) bar.update(done);
      else bar.start(total, done);
    },
    stop: () => bar.stop(),
  };
}
