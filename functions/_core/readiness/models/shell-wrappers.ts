/** How a program that runs another is written: the options that take a value, and the words it wants before. */
type Wrapper = { valued?: RegExp; before?: number; assigns?: boolean; dashes?: boolean };

const WRAPPERS: Record<string, Wrapper> = {
  exec: { valued: /^-a$/ },
  sudo: { valued: /^-[ugpCrtTUDRh]$|^--(user|group|prompt|chdir)$/, assigns: true },
  doas: { valued: /^-[uC]$/ },
  env: { valued: /^-[uC]$/, assigns: true },
  nice: { valued: /^-n$/ },
  ionice: { valued: /^-[cnp]$/ },
  nohup: {},
  time: { valued: /^-[fo]$/ },
  timeout: { valued: /^-[sk]$/, before: 1 },
  command: {},
  builtin: {},
  stdbuf: { valued: /^-[ioe]$/ },
  setsid: {},
  xargs: { valued: /^-[InPdLasE]$/ },
  tini: {},
  "dumb-init": {},
  catchsegv: {},
  gosu: { before: 1 },
  "su-exec": { before: 1 },
  "cross-env": { assigns: true },
  "dotenv": { valued: /^-[efc]$/, dashes: true },
  "doppler": { dashes: true },
  "infisical": { dashes: true },
  "op": { dashes: true },
  "with-contenv": {},
};

/**
 * How many words stand before what really runs, and the programs among them.
 *
 * @example
 * unwrap(["sudo", "-E", "timeout", "10", "bash"]); // { from: 4, wrappers: ["sudo", "timeout"] }
 */
export function unwrap(words: readonly string[]): { from: number; wrappers: string[] } {
  const wrappers: string[] = [];
  let from = 0;
  for (;;) {
    const name = (words[from] ?? "").split("/").at(-1) ?? "";
    const wrapper = Object.hasOwn(WRAPPERS, name) ? WRAPPERS[name] : undefined;
    const next = wrapper ? behind(words, from + 1, wrapper) : null;
    // `exec 2>&1`, `time`, `command -v curl`: nothing else runs.
    if (next === null || next >= words.length) return { from, wrappers };
    if (name === "command" && /^-[vV]/.test(words[from + 1] ?? "")) return { from, wrappers };
    wrappers.push(name);
    from = next;
  }
}

function behind(words: readonly string[], from: number, wrapper: Wrapper): number | null {
  if (wrapper.dashes) {
    const dashes = words.indexOf("--", from);
    return dashes < 0 ? null : dashes + 1;
  }
  let at = from;
  let before = wrapper.before ?? 0;
  for (; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--") return at + 1 + before;
    if (wrapper.valued?.test(word)) at++;
    else if (word.startsWith("-") && word.length > 1) continue;
    else if (wrapper.assigns && /^[A-Za-z_][A-Za-z0-9_]*=/.test(word)) continue;
    else if (before > 0) before--;
    else return at;
  }
  return at;
}
