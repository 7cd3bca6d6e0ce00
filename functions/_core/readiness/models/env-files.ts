import type { Repository } from "../repository.ts";

/** One `NAME=value` of a file of the environment. */
export type EnvEntry = { name: string; value: string; line: number };
export type EnvFile = {
  path: string;
  /** What people copy and fill in: `.env.example`. */
  isTemplate: boolean;
  /** Whether git has it; null where nobody knows. */
  isTracked: boolean | null;
  entries: EnvEntry[];
};

const FILE =
  /(^|\/)(\.env(rc|\.[\w.-]+)?|\.flaskenv|[\w-]+\.env|env\.(example|sample|template|dist))$/i;
const TEMPLATE =
  /example|sample|template|tmpl|[._-]dist\b|schema|defaults?\b|[._-](test|testing|ci|e2e)\b/i;
const MOST_ENTRIES = 2_000;

/**
 * The files of the environment with what they set; comments and quotes taken off.
 *
 * @example
 * envFiles(repository).filter((one) => !one.isTemplate && one.isTracked !== false);
 */
export function envFiles(repository: Repository): EnvFile[] {
  return repository.once("env-files", () =>
    repository.matching(FILE).flatMap((file) => {
      const entries = repository.parse(file, entriesOf);
      if (!entries) return [];
      const { path, isTracked } = file;
      return [{
        path,
        isTracked,
        entries,
        isTemplate: TEMPLATE.test(path.split("/").at(-1) ?? ""),
      }];
    }));
}

/**
 * The entries of one text.
 *
 * @example
 * entriesOf('export A="b" # why'); // [{ name: "A", value: "b", line: 1 }]
 */
export function entriesOf(text: string): EnvEntry[] {
  const found: EnvEntry[] = [];
  text.split("\n").forEach((raw, index) => {
    if (found.length >= MOST_ENTRIES || raw.length > 20_000) return;
    const parts = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:]\s*(.*)$/.exec(raw);
    if (!parts) return;
    found.push({ name: parts[1] ?? "", value: plain((parts[2] ?? "").trim()), line: index + 1 });
  });
  return found;
}

function plain(value: string): string {
  const [quote] = value;
  if (quote === '"' || quote === "'" || quote === "`") {
    const end = value.indexOf(quote, 1);
    return end < 0 ? value.slice(1) : value.slice(1, end);
  }
  return value.replace(/(^|\s)#.*$/, "").trim();
}
