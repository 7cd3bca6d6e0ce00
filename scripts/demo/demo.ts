import { mkdirSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { relative, resolve } from "node:path";
import process from "node:process";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError } from "commander";
import pc from "picocolors";
import { EXIT } from "../../functions/_core/errors.ts";
import { explain } from "../cli/explain.ts";
import { isInterrupted, isMain, onInterrupt, runCli } from "../cli/run.ts";
import { start } from "./acts/1-start.ts";
import { boundary } from "./acts/2-boundary.ts";
import { attack } from "./acts/3-attack.ts";
import { alarm } from "./acts/4-alarm.ts";
import { backup } from "./acts/5-backup.ts";
import { restore } from "./acts/6-restore.ts";
import { proof } from "./acts/7-proof.ts";
import { type Act, isInteractive, mark, type Stage } from "./stage.ts";

const ACTS: readonly Act[] = [start, boundary, attack, alarm, backup, restore, proof];

type Flags = { json?: boolean; rows: number };

/** `npm run demo`: the main job from an empty database to the evidence folder, every step checked. */
export function command(): Command {
  return new Command("npm run demo --")
    .description(
      "Isolate, attack, watch, back up and restore an example application on a Postgres of its own.",
    )
    .option("--rows <n>", "messages of the example, at least 10,000", wholeNumber, 50_000)
    .option("--json", "print one JSON object per act")
    .action(async (flags: Flags) => {
      process.exitCode = await play(flags);
    });
}

async function play({ json = false, rows }: Flags): Promise<number> {
  const folder = resolve(".bulkhead", "demo", new Date().toISOString().replaceAll(/[:.]/g, "-"));
  mkdirSync(folder, { recursive: true });
  const stops: (() => Promise<unknown>)[] = [];
  const stopAll = async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  const done = onInterrupt(stopAll);
  const say = (line: string) => {
    if (!json) console.log(`  ${line}`);
  };
  // The first act fills in what only it can know; no act runs before it.
  const stage = {
    rows,
    folder,
    env: secrets(folder),
    facts: {},
    say,
    progress: (label: string) => progress(label, isInteractive(json)),
    onEnd: (stop: () => Promise<unknown>) => stops.push(stop),
  } as unknown as Stage;

  const began = performance.now();
  try {
    for (const [index, act] of ACTS.entries()) {
      const ok = await playAct(act, index + 1, stage, json);
      if (!ok) return EXIT.red;
    }
    if (!json) {
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(
        `\n${mark.ok(pc.bold(`The main job holds, ${ACTS.length} acts in ${seconds} s.`))}`,
      );
      console.log(
        `Evidence: ${relative(process.cwd(), String(stage.facts["proof"]?.["evidence"]))}`,
      );
      console.log(`Report:   ${relative(process.cwd(), String(stage.facts["proof"]?.["report"]))}`);
    }
    return EXIT.ok;
  } finally {
    await stopAll();
    done();
  }
}

async function playAct(act: Act, number: number, stage: Stage, json: boolean): Promise<boolean> {
  if (!json) console.log(`\n${pc.bold(`${number}. ${act.title}`)}`);
  const began = performance.now();
  const ms = () => Math.round(performance.now() - began);
  try {
    const facts = await act.run(stage);
    stage.facts[act.name] = facts;
    if (json) console.log(JSON.stringify({ act: act.name, ok: true, ms: ms(), facts }));
    else console.log(pc.dim(`  ${(ms() / 1000).toFixed(1)} s`));
    return true;
  } catch (error) {
    // Ctrl-C stopped the servers under it.
    if (isInterrupted()) return false;
    const { code, message, hint } = explain(error, "npm run demo -- --help");
    if (json) {
      console.log(
        JSON.stringify({ act: act.name, ok: false, ms: ms(), facts: { code, message, hint } }),
      );
    } else console.error(`  ${mark.bad(message)} [${code}]\n  Try: ${hint}`);
    if (process.env["BULKHEAD_DEBUG"] === "1") console.error(error);
    return false;
  }
}

/** Keys for this run alone, made here, in the environment of its own processes only. */
function secrets(folder: string): Record<string, string> {
  return {
    BULKHEAD_KEK: randomBytes(32).toString("base64"),
    BULKHEAD_HMAC_SECRET: randomBytes(32).toString("hex"),
    BULKHEAD_STORE: `file://${folder}/store`,
  };
}

function progress(label: string, interactive: boolean): (done: number, total: number) => void {
  if (!interactive) return () => {};
  const bar = new SingleBar({
    format: `  ${label} {bar} {percentage}%`,
    hideCursor: true,
    clearOnComplete: true,
  });
  let started = false;
  return (done, total) => {
    if (!started) bar.start(total, 0);
    started = true;
    bar.update(done);
    if (done >= total) bar.stop();
  };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 10_000) {
    throw new InvalidArgumentError("must be a whole number of at least 10000");
  }
  return value;
}

if (isMain(import.meta.url)) await runCli(command());
