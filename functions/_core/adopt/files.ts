import { chainSnapshots, type DrizzleFolder, drizzlePrefix, extendJournal } from "./drizzle.ts";
import { slug } from "./names.ts";
import type { Step } from "./steps.ts";

/** Who applies the files. */
export type Format = "supabase" | "sql" | "drizzle";

/** A file to write, by its path below the output folder. */
export type PlannedFile = { path: string; content: string };

export type FileOptions = {
  format: Format;
  lockTimeout: string;
  now: Date;
  /** What drizzle-kit's folder holds already. */
  drizzle?: DrizzleFolder;
  /** Ids of Drizzle's snapshots. */
  newId?: () => string;
};

/**
 * One file a step and, under `down/`, the one that takes it back. Sub-folders are left alone by every migrator.
 *
 * @example
 * const files = renderFiles(steps, { format: "supabase", lockTimeout: "2s", now: new Date() });
 */
export function renderFiles(steps: readonly Step[], options: FileOptions): PlannedFile[] {
  const prefixes = steps.map((_, at) => prefix(at, options));
  const names = steps.map((step, at) =>
    `${prefixes[at]}_${options.format === "drizzle" ? "" : "bulkhead_adopt_"}${slug(step.slug)}`
  );
  const files = steps.flatMap((step, at): PlannedFile[] => {
    const name = names[at] ?? "";
    const head = [
      `-- Bulkhead adopt, step ${at + 1} of ${steps.length}: ${step.title}`,
      `-- Lock: ${step.lock}`,
      ...(step.alone
        ? [
          "-- Alone: outside a transaction, statement by statement; never join it with another file",
        ]
        : []),
      `-- Safe to run again. Undo: down/${name}.sql, newest first`,
    ];
    return [
      { path: `${name}.sql`, content: render(head, step.up, options) },
      {
        path: `down/${name}.sql`,
        content: render(
          [
            `-- Bulkhead adopt, undo of step ${at + 1} of ${steps.length}: ${step.title}`,
            ...(step.downAlone ? ["-- Alone: outside a transaction, statement by statement"] : []),
          ],
          step.down,
          options,
        ),
      },
    ];
  });
  if (options.format === "drizzle" && steps.length > 0) {
    const folder = options.drizzle ?? {};
    files.push(
      ...chainSnapshots(prefixes, folder, options.newId ?? (() => crypto.randomUUID())),
      {
        path: "meta/_journal.json",
        content: `${JSON.stringify(extendJournal(names, folder, options.now), null, 2)}\n`,
      },
    );
  }
  return files;
}

function render(
  head: readonly string[],
  statements: readonly string[],
  options: FileOptions,
): string {
  const gap = options.format === "drizzle" ? "\n--> statement-breakpoint\n" : "\n\n";
  const body = statements.length === 0 ? ["select 'nothing to do' as bulkhead;"] : [
    `set ${options.format === "drizzle" ? "local " : ""}lock_timeout = '${options.lockTimeout}';`,
    ...statements.map((one) => `${one};`),
  ];
  return `${head.map(oneLine).join("\n")}\n${body.join(gap)}\n`;
}

const oneLine = (text: string) => text.replace(/\s*\n\s*/g, " ");

/** Supabase orders by a timestamp, one second apart; plain files by a number; Drizzle by its journal. */
function prefix(at: number, options: FileOptions): string {
  if (options.format === "sql") return String(at + 1).padStart(4, "0");
  if (options.format === "drizzle") {
    return drizzlePrefix(at, options.drizzle ?? {}, options.now);
  }
  const time = new Date(options.now.getTime() + at * 1000);
  return time.toISOString().replace(/[-:T]/g, "").slice(0, 14);
}
