// needs: deno-edge
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { it } from "node:test";
import * as z from "zod";
import { ROOT } from "../support/sql-files.ts";

const act = z.object({
  act: z.string(),
  ok: z.boolean(),
  ms: z.number(),
  facts: z.record(z.string(), z.unknown()),
});

it("npm run demo proves the main job from an empty database to the evidence folder", async () => {
  const { code, stdout, stderr } = await play("--json");
  const acts = stdout.trim().split("\n").map((line) => act.parse(JSON.parse(line)));
  assert.deepEqual(acts.filter(({ ok }) => !ok), [], stderr);
  assert.deepEqual([acts.length, code], [7, 0], stderr);
  // no act takes its success from nothing
  for (const { act: name, facts } of acts) assert.ok(Object.keys(facts).length > 0, name);
});

async function play(
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [
    "--no-warnings",
    "--import",
    "tsx",
    "scripts/demo/demo.ts",
    ...args,
  ], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}
