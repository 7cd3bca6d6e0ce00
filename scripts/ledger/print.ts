import process from "node:process";
import pc from "picocolors";
import { exactString } from "../../functions/_core/ledger/exact-json.ts";
import { eventLine, type LedgerEvent } from "../../functions/_core/ledger/event-line.ts";

/** How events are printed. */
export type PrintOptions = { json?: boolean; wide?: boolean; tenant?: string };

/** Colours on a terminal, none in a pipe. */
export const colours = () => pc.createColors(process.stdout.isTTY === true && pc.isColorSupported);

/** The columns of the terminal, 80 where there is none; 0 cuts nothing. */
export const widthOf = (options: { wide?: boolean }): number =>
  options.wide ? 0 : Math.max(40, process.stdout.columns ?? 80);

/**
 * One line an event on stdout, or one JSON document a line.
 *
 * @example
 * printEvents(events, { json: true });
 */
export function printEvents(events: readonly LedgerEvent[], options: PrintOptions): void {
  if (options.json) {
    for (const event of events) process.stdout.write(`${exactString(event)}\n`);
    return;
  }
  const { bold, dim, green, red, yellow } = colours();
  const paint: Record<string, (text: string) => string> = {
    INSERT: green,
    UPDATE: yellow,
    DELETE: red,
    TRUNCATE: red,
  };
  for (const event of events) {
    const { head, operation, target, detail } = eventLine(event, {
      width: widthOf(options),
      now: Date.now(),
      oneTenant: options.tenant !== undefined,
    });
    const painted = (paint[operation] ?? bold)(operation);
    process.stdout.write(`${dim(head)}  ${painted} ${target}  ${detail}`.trimEnd() + "\n");
  }
}
