import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { denoCommand, denoEnv, type DenoVersion } from "../../scripts/local/deno.ts";
import { ROOT } from "../support/sql-files.ts";
import { runProgram } from "./child.ts";
import type { Result, Suite } from "./suite.ts";

type Report = (result: Result) => void;

async function check(
  report: Report,
  name: string,
  program: string,
  args: string[],
  env?: NodeJS.ProcessEnv,
) {
  const { code, output } = await runProgram(program, args, env ? { env } : {});
  if (code === 0) report({ name, status: "passed" });
  else report({ name, status: "failed", message: output.trim().split("\n").slice(-40).join("\n") });
}

function deno(report: Report, name: string, version: DenoVersion, args: string[]) {
  const { program, args: before } = denoCommand(version);
  return check(report, name, program, [...before, ...args], denoEnv(version));
}

function tsc(report: Report, project: string) {
  const program = join(ROOT, "node_modules/typescript/bin/tsc");
  return check(report, `tsc accepts ${project}`, process.execPath, [program, "-p", project]);
}

function entryPoints(): string[] {
  return readdirSync(join(ROOT, "functions"))
    .map((name) => join("functions", name, "index.ts"))
    .filter((file) => existsSync(join(ROOT, file))).sort();
}

/** Format, lint, types: what needs no database. */
export const checkSuites: Suite[] = [
  {
    name: "format",
    needs: ["deno"],
    run: (report) =>
      deno(report, "deno fmt finds nothing to change", "current", ["fmt", "--check"]),
  },
  {
    name: "lint",
    needs: ["deno"],
    run: (report) => deno(report, "deno lint finds nothing", "current", ["lint"]),
  },
  {
    name: "types",
    needs: ["typescript"],
    async run(report) {
      await tsc(report, "tsconfig.json");
      await tsc(report, "functions/_core/tsconfig.json");
    },
  },
  {
    name: "deno-check",
    needs: ["deno", "deno-edge"],
    async run(report) {
      const files = entryPoints();
      if (files.length === 0) throw new Error("Cannot check the functions: there are none");
      for (const version of ["edge", "current"] as const) {
        for (const file of files) {
          await deno(report, `deno ${version} accepts ${file}`, version, [
            "check",
            "--quiet",
            file,
          ]);
        }
      }
    },
  },
];
