import type { Command, Shell } from "./shell.ts";
import { isShell } from "./shell.ts";

/** A command that fetches a URL, and where it puts what comes: a file, or null for its output. */
export type Download = { command: Command; url: string | null; file: string | null };

/**
 * What a curl or wget fetches, null of anything else. What it asks this machine for is no download.
 *
 * @example
 * downloadOf(command)?.file; // of `curl -fsSLo x.sh https://example.com/x.sh`: "x.sh"
 */
export function downloadOf(command: Command): Download | null {
  const { program, args, redirects } = command;
  if (program !== "curl" && program !== "wget") return null;
  const url = args.find((one) => /^(https?|ftp):\/\//i.test(one)) ??
    args.find((one) => !one.startsWith("-") && /^[\w.-]+\.\w+\/|\$/.test(one)) ?? null;
  if (/^https?:\/\/(localhost|127\.|0\.0\.0\.0|\[::1\])/i.test(url ?? "")) return null;
  const target = redirects.find(({ operator, descriptor, target: one }) =>
    />/.test(operator) && operator !== ">&" && (descriptor ?? 1) === 1 && one
  )?.target?.value;
  const named = optionOf(args, program === "curl" ? CURL_FILE : WGET_FILE);
  const last = (url ?? "").split(/[?#]/)[0]?.split("/").at(-1) ?? "";
  const isRemoteName = program === "wget"
    ? named === null
    : args.some((one) => /^-[a-zA-Z]*O|^--remote-name/.test(one));
  const file = named ?? target ?? (isRemoteName ? last : null);
  const isOutput = file === "-" || file === "/dev/stdout" || file === null;
  return { command, url, file: isOutput || file === "/dev/null" ? null : file };
}

const CURL_FILE = { short: /^-[a-zA-Z]*o$/, long: "--output" };
const WGET_FILE = { short: /^-[a-zA-Z]*O$/, long: "--output-document" };

function optionOf(
  args: readonly string[],
  { short, long }: { short: RegExp; long: string },
): string | null {
  for (const [at, one] of args.entries()) {
    if (short.test(one) || one === long) return args[at + 1] ?? null;
    if (one.startsWith(`${long}=`)) return one.slice(long.length + 1);
    // `-qO-`, `-O-`, `-ofile`
    const glued = /^-[a-zA-Z]*?[oO](-|[./].*)$/.exec(one);
    if (glued && short.test(one.slice(0, one.length - (glued[1] ?? "").length))) {
      return glued[1] ?? null;
    }
  }
  return null;
}

const INTERPRETERS = /^(python[0-9.]*|node|deno|perl|ruby|php|bun)$/;

/** Whether a command runs what comes through its standard input. */
function runsInput({ program, args }: Command): boolean {
  const options = args.filter((one) => one.startsWith("-"));
  if (isShell(program)) {
    if (options.some((one) => /^-[a-z]*c/.test(one))) return false;
    const isForced = options.some((one) => /^-[a-z]*s[a-z]*$/.test(one) || one === "-");
    const words = args.filter((one, at) =>
      !/^[-+]/.test(one) && !/^-[a-z]*o$/.test(args[at - 1] ?? "")
    );
    return isForced || words.length === 0 || words[0] === "/dev/stdin";
  }
  if (!INTERPRETERS.test(program)) {
    return program === "source" || program === "." ? args[0] === "/dev/stdin" : false;
  }
  // `python -m json.tool`, `python -c …` and `node -e …` read it as data.
  return args.length === 0 || args[0] === "-" || args[0] === "/dev/stdin";
}

/** The command that a download runs in, without a file between them; null where it doesn't. */
export function piped(download: Download, shell: Shell): Command | null {
  const { command } = download;
  for (const { id, stage } of command.pipes) {
    const runner = shell.commands.find((one) =>
      one.pipes.some((pipe) => pipe.id === id && pipe.stage > stage) && runsInput(one)
    );
    if (runner) return runner;
  }
  let [inner, outer] = [command, command.parent];
  while (outer) {
    const { program, args } = outer;
    const isSourced = program === "source" || program === ".";
    if (inner.via === "process" && (isShell(program) || isSourced || INTERPRETERS.test(program))) {
      return outer;
    }
    if (inner.via === "command") {
      const word = program === "eval" ? args[0] : isShell(program) ? args.at(-1) : undefined;
      const isScript = program === "eval" || args.some((one) => /^-[a-z]*c$/.test(one));
      // `sh -c "$(…)"`: all of the script is what came; `sh -c "echo $(…)"` is data.
      if (isScript && /^\s*(\$\(|`)/.test(word ?? "") && downloadIsLast(download, shell)) {
        return outer;
      }
      return null;
    }
    [inner, outer] = [outer, outer.parent];
  }
  return null;
}

/** Whether nothing behind it changes what it fetched: `$(curl x | jq -r .y)` gives a part as data. */
function downloadIsLast({ command }: Download, shell: Shell): boolean {
  const [pipe] = command.pipes;
  if (!pipe) return true;
  const later = shell.commands.filter((one) =>
    one.pipes.some(({ id, stage }) => id === pipe.id && stage > pipe.stage)
  );
  return later.every(({ program }) => /^(cat|tee|tr|sed|gunzip|gzip|base64)$/.test(program));
}
