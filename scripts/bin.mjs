#!/usr/bin/env node
// A package carries the commands compiled (`npm run build`). In a clone their source lies here, and tsx runs it as it
// is: what was built there some day is never taken for what is written now.
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

if (process.env.BULKHEAD_DEBUG === "1") process.setSourceMapsEnabled(true);
const cli = existsSync(new URL("./cli.ts", import.meta.url)) ? await source() : await compiled();
await cli.main();

async function source() {
  const { register } = await import("tsx/esm/api");
  register({ tsconfig: fileURLToPath(new URL("../tsconfig.json", import.meta.url)) });
  return await import("./cli.ts");
}

async function compiled() {
  return await import("../dist/scripts/cli.js");
}
