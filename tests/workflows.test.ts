import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Command } from "commander";
import { program } from "../scripts/cli.ts";
import { ROOT } from "./support/sql-files.ts";

type Step = { job: string; run: string; env: Map<string, string> };

const folder = join(ROOT, ".github/workflows");
const files = readdirSync(folder).filter((name) => name !== "ci.yml");
const text = (file: string) => readFileSync(join(folder, file), "utf8");

/** As much of YAML as these files use: jobs, steps that run something, and those steps' variables. */
function stepsOf(file: string): Step[] {
  const steps: Step[] = [];
  let job = "";
  let last: Step | undefined;
  let block: { indent: number; join: string; lines: string[] } | undefined;
  let isEnv = false;
  for (const line of `${text(file)}\nend:`.split("\n")) {
    const indent = line.length - line.trimStart().length;
    if (block !== undefined && line.trim() !== "" && indent <= block.indent) {
      if (last) last.run = block.lines.join(block.join);
      block = undefined;
    }
    if (block !== undefined) {
      block.lines.push(line.trim());
      continue;
    }
    const name = /^ {2}([\w-]+):$/.exec(line)?.[1];
    if (name !== undefined) job = name;
    if (/^\s*- /.test(line)) last = undefined;
    const run = /^\s*(?:- )?run: (.*)$/.exec(line)?.[1];
    if (run !== undefined) {
      steps.push(last = { job, run, env: new Map() });
      const join = run === ">-" ? " " : run === "|" ? "\n" : undefined;
      if (join !== undefined) block = { indent, join, lines: [] };
      isEnv = false;
    } else if (/^ {8}env:$/.test(line)) isEnv = true;
    else if (indent < 10) isEnv = false;
    const [, key, value] = /^ {10}([A-Z][A-Z0-9_]*): (.+)$/.exec(line) ?? [];
    if (isEnv && last && key && value) last.env.set(key, value);
  }
  return steps;
}

/** Programs that write down how they were called. */
const shims = mkdtempSync(join(tmpdir(), "bulkhead-shims-"));
after(() => rmSync(shims, { recursive: true, force: true }));
for (const name of ["node", "npm", "npx", "curl"]) {
  writeFileSync(
    join(shims, name),
    `#!/bin/sh\nprintf '%s\\0' ${name} "$@" >>"$CALLS"\nprintf '\\n' >>"$CALLS"\n`,
  );
  chmodSync(join(shims, name), 0o755);
}

/** What a step's script calls, as GitHub's shell reads it, with these variables. */
function callsOf(step: Step, env: Record<string, string>): string[][] {
  const calls = join(shims, "calls");
  writeFileSync(calls, "");
  const ran = spawnSync("bash", ["--noprofile", "--norc", "-euo", "pipefail", "-c", step.run], {
    encoding: "utf8",
    env: { PATH: `${shims}:/usr/bin:/bin`, CALLS: calls, ...env },
  });
  assert.equal(ran.status, 0, `${step.run}: ${ran.stderr}`);
  return readFileSync(calls, "utf8").split("\n").filter((line) => line !== "")
    .map((line) => line.split("\0").slice(0, -1));
}

/** The commands' own reading of their arguments, without what they do. */
async function parse(args: readonly string[]): Promise<string> {
  const root = await program(args);
  let ran = "";
  const disarm = (command: Command, name: string): void => {
    command.exitOverride().configureOutput({ writeErr: () => {} });
    command.action(() => void (ran = name));
    for (const sub of command.commands) disarm(sub, `${name} ${sub.name()}`.trim());
  };
  for (const sub of root.commands) disarm(sub, sub.name());
  root.exitOverride();
  await root.parseAsync([...args], { from: "user" });
  return ran;
}

describe("the workflows", () => {
  test("call commands and options that exist, whichever inputs are given", async () => {
    const seen = new Set<string>();
    for (const file of files) {
      for (const step of stepsOf(file)) {
        for (const given of [false, true]) {
          const env = Object.fromEntries(
            [...step.env.keys()].map((name) => [name, given ? "https://one.example two" : ""]),
          );
          for (const [tool, ...args] of callsOf(step, env)) {
            if (tool === "node") {
              // `bulkhead init` writes these two words as the package's program.
              assert.equal(args[0], "scripts/bin.mjs", file);
              seen.add(await parse(args.slice(1)));
            }
            if (tool === "curl") {
              const data = args[args.indexOf("--data") + 1] ?? "";
              assert.match(JSON.parse(data).text, /Bulkhead: /, file);
            }
          }
        }
      }
    }
    assert.deepEqual([...seen].sort(), [
      "backup",
      "backups verify",
      "drill",
      "prune",
      "watchdog",
    ]);
  });

  test("a flag that does not exist would be noticed", async () => {
    await assert.rejects(parse(["backup", "--fulll"]), /unknown option/);
    await assert.rejects(parse(["backups", "verifi"]), /unknown command|too many arguments/);
  });

  test("every job that can fail tells Slack, and nothing is run without a name for its variables", () => {
    for (const file of files.filter((name) => name !== "watchdog.yml")) {
      const steps = stepsOf(file);
      for (const job of new Set(steps.map((step) => step.job))) {
        const own = steps.filter((step) => step.job === job);
        assert.match(own.at(-1)?.run ?? "", /^curl .*"\$SLACK_WEBHOOK_URL"$/, `${file} ${job}`);
      }
      for (const step of steps) {
        for (const [, name = ""] of step.run.matchAll(/\$\{?([A-Z][A-Z0-9_]*)/g)) {
          assert.ok(step.env.has(name), `${file}: $${name} of "${step.run}" is not set`);
        }
      }
    }
  });

  test("every secret and variable is explained at the top", () => {
    for (const file of files) {
      const [head = ""] = text(file).split(/^name: /m);
      for (const [, name = ""] of text(file).matchAll(/\b(?:secrets|vars)\.([A-Z0-9_]+)/g)) {
        assert.ok(head.includes(name), `${file} does not say what ${name} is`);
      }
    }
  });

  test("no job holds a key that it does not need", () => {
    const keys = /^BULKHEAD_S3_(?:(READER|PRUNER)_)?(?:KEY_ID|SECRET)$/;
    const held = (file: string, job: string) =>
      new Set(
        stepsOf(file).filter((step) => step.job === job).flatMap(({ env }) => [...env.keys()])
          .filter((name) => keys.test(name)).map((name) => keys.exec(name)?.[1] ?? "WRITER"),
      );
    assert.deepEqual([...held("backup-nightly.yml", "backup")], ["WRITER"]);
    assert.deepEqual([...held("backup-nightly.yml", "verify")], ["READER"]);
    assert.deepEqual([...held("backup-nightly.yml", "prune")], ["PRUNER"]);
    assert.deepEqual([...held("restore-drill.yml", "drill")], ["READER"]);
  });
});
