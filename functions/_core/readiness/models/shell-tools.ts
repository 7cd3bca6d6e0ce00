import type { Command } from "./shell.ts";

/** What a command comes to, whoever starts it: `uv run --frozen pytest -q` is `pytest`, `npx audit-ci` is `audit-ci`. */
export type Tool = { name: string; args: string[] };

const RUNNERS: Record<string, RegExp> = {
  uv: /^run$/,
  poetry: /^run$/,
  pipenv: /^run$/,
  pdm: /^run$/,
  hatch: /^run$/,
  rye: /^run$/,
  pixi: /^run$/,
  pnpm: /^(exec|dlx)$/,
  yarn: /^(exec|dlx)$/,
  npm: /^(exec|x)$/,
  bun: /^x$/,
  bundle: /^exec$/,
  pipx: /^run$/,
  mise: /^(exec|x)$/,
};
const DIRECT: ReadonlySet<string> = new Set(["npx", "bunx", "uvx", "coverage"]);
/** Options of those runners that take a value behind a space. */
const VALUED =
  /^(--(directory|project|with|python|package|group|extra|from|env-file|prefix|filter|cwd|workspace|spec|dir|config)|-[pCw])$/;

/**
 * The tool behind a command's runners.
 *
 * @example
 * toolOf(command); // of `poetry run python -m pytest -q`: { name: "pytest", args: ["-q"] }
 */
export function toolOf({ program, args }: Pick<Command, "program" | "args">): Tool {
  let tool: Tool = { name: program, args };
  for (let step = 0; step < 4; step++) {
    const next = behindRunner(tool);
    if (!next) break;
    tool = next;
  }
  return { ...tool, name: tool.name.split("/").at(-1) ?? "" };
}

function behindRunner({ name, args }: Tool): Tool | null {
  if (/^(python|pypy)[0-9.]*$/.test(name)) {
    const module = args.indexOf("-m");
    const isFirst = module >= 0 && args.slice(0, module).every((one) => /^-[A-Za-z]/.test(one));
    return isFirst ? named(args.slice(module + 1)) : null;
  }
  if (DIRECT.has(name)) {
    if (name !== "coverage") return named(behindOptions(args));
    const module = args.indexOf("-m");
    return args[0] === "run" && module > 0 ? named(args.slice(module + 1)) : null;
  }
  const runner = Object.hasOwn(RUNNERS, name) ? RUNNERS[name] : undefined;
  if (!runner) return null;
  const rest = behindOptions(args);
  return runner.test(rest[0] ?? "") ? named(behindOptions(rest.slice(1))) : null;
}

function behindOptions(args: readonly string[]): string[] {
  let at = 0;
  while (at < args.length && (args[at] ?? "").startsWith("-")) {
    if (args[at] === "--") return args.slice(at + 1);
    at += VALUED.test(args[at] ?? "") ? 2 : 1;
  }
  return args.slice(at);
}

function named([name, ...args]: readonly string[]): Tool | null {
  // `npx eslint@9`, `uvx ruff@0.6` and `pipx run bandit==1.8` name a version.
  return name ? { name: name.replace(/(?!^)(@[^/@]*|[=~<>]=.*)$/, ""), args } : null;
}
