import { reasonOf } from "../errors.ts";
import { checkBundle } from "./check-bundle.ts";
import { checkClients } from "./check-clients.ts";
import { checkContext } from "./check-context.ts";
import { checkPlatform } from "./check-platform.ts";
import { checkPools } from "./check-pools.ts";
import { checkEnvFile, checkSecrets } from "./check-secrets.ts";
import { checkTenantSource } from "./check-tenant.ts";
import { type Finding, finding, position, type Report } from "./finding.ts";
import { applyIgnores, type Candidate, findIgnores } from "./ignore.ts";
import { type Module, readModule } from "./module.ts";
import { tenantNames } from "./names.ts";
import { demote, placeOf } from "./place.ts";
import { makeProgram, type Program } from "./program.ts";
import { CONFIG, makeResolver, SCRIPT } from "./resolve.ts";
import { RULES, type Severity } from "./rules.ts";
import { checkSql, readSql, type SqlFile, type SqlParser } from "./sql.ts";
import type { Comment, Parsed } from "./syntax.ts";

/** A text file of the tree, its path from the root with forward slashes. */
export type SourceFile = { path: string; text: string };
/** A file that could not be read or parsed, and why. */
export type Unread = { file: string; reason: string };

/** What a linter needs from outside: adapters/lint-parser.ts has both. */
export type Parsers = {
  script: (path: string, text: string) => Parsed;
  sql: SqlParser;
};

export type LintOptions = {
  parsers: Parsers;
  /** The tenant columns of the project, where they are known; the usual names otherwise. */
  tenantColumns?: readonly string[];
  /** The table of tenants, as `public.organizations`. */
  tenantTable?: string;
  /** Tables that belong to no tenant. */
  globalTables?: readonly string[];
  /** Rules to run, all of them without it. */
  rules?: readonly string[];
  /** Told after every file. */
  progress?: (done: number, total: number) => void;
};

/** What is wrong, and what nobody knows. */
export type LintResult = {
  findings: Finding[];
  unread: Unread[];
  /** How many files were looked at. */
  files: number;
  /** Findings that a comment takes out, with its reason. */
  ignored: number;
};

/**
 * Lint the files of one tree. Pure: whoever calls it has read them.
 *
 * @example
 * const { findings } = await lint([{ path: "src/admin.ts", text }], { parsers: { script: parseScript, sql: parseSql } });
 */
export async function lint(
  files: readonly SourceFile[],
  options: LintOptions,
): Promise<LintResult> {
  const unread: Unread[] = [];
  const { program, sql, comments } = await analyse(files, options, unread);
  const reports: Report[] = [
    ...checkClients(program),
    ...checkBundle(program),
    ...checkPools(program),
    ...checkContext(program),
    ...checkTenantSource(program),
    ...checkPlatform(program),
    ...checkSql(sql, program.tenants),
  ];
  for (const { path, text } of files) {
    reports.push(...checkEnvFile(path, text), ...await checkSecrets(path, text));
  }
  const wanted = new Set(options.rules ?? RULES.map((one) => one.id));
  return conclude(files, comments, reports, (rule) => wanted.has(rule), unread);
}

/** What the rules look at. */
async function analyse(
  files: readonly SourceFile[],
  options: LintOptions,
  unread: Unread[],
): Promise<{ program: Program; sql: SqlFile[]; comments: Map<string, Comment[]> }> {
  const modules = new Map<string, Module>();
  const sql: SqlFile[] = [];
  const comments = new Map<string, Comment[]>();
  const configs = new Map<string, string>();
  let done = 0;
  for (const { path, text } of files) {
    try {
      if (SCRIPT.test(path)) {
        const module = readModule(path, text, options.parsers.script(path, text));
        modules.set(path, module);
        comments.set(path, module.comments);
      } else if (path.endsWith(".sql")) {
        const file = await readSql(path, text, options.parsers.sql);
        sql.push(file);
        comments.set(path, file.comments);
        unread.push(
          ...file.unread.map(({ line, reason }) => ({
            file: path,
            reason: `line ${line}: ${reason}`,
          })),
        );
      } else if (CONFIG.test(path)) configs.set(path, text);
    } catch (error) {
      unread.push({ file: path, reason: reasonOf(error) });
    }
    options.progress?.(++done, files.length);
  }
  const find = makeResolver({ files: new Set(modules.keys()), configs });
  const resolve = (from: string, specifier: string): Module | string => {
    const target = find(from, specifier);
    if ("specifier" in target) return target.specifier;
    return modules.get(target.file) ?? specifier;
  };
  const tenants = tenantNames(options.tenantColumns, options.tenantTable);
  const globals = new Set(options.globalTables?.map((name) => name.split(".").at(-1) ?? name));
  for (const table of tablesWithoutTenant(sql, tenants.columns)) globals.add(table);
  const program = makeProgram([...modules.values()], resolve, tenants, globals);
  return { program, sql, comments };
}

/** Tables that the migrations make, none of whose columns is a tenant's. */
function tablesWithoutTenant(sql: readonly SqlFile[], columns: ReadonlySet<string>): string[] {
  const tables = new Map<string, boolean>();
  for (const file of sql) {
    for (const table of file.tables) {
      const hasTenant = table.columns.some((one) => columns.has(one));
      tables.set(table.name, (tables.get(table.name) ?? false) || hasTenant || table.isOpen);
    }
  }
  return [...tables].flatMap(([name, hasTenant]) => hasTenant ? [] : [name]);
}

function conclude(
  files: readonly SourceFile[],
  comments: ReadonlyMap<string, Comment[]>,
  reports: readonly Report[],
  isOn: (rule: string) => boolean,
  unread: Unread[],
): LintResult {
  const candidates: Candidate[] = [];
  const seen = new Set<string>();
  for (const one of reports) {
    const key = `${one.rule} ${one.file} ${one.start}`;
    if (!isOn(one.rule) || seen.has(key)) continue;
    seen.add(key);
    // A key in a script is as public as any other.
    const place = one.rule === "lint/hard-coded-key" ? "production" : placeOf(one.file);
    candidates.push({
      ...finding(one, (severity: Severity) => demote(severity, place)),
      anchor: position(one.text, one.anchor ?? one.start).line,
      sites: one.sites ?? [],
    });
  }
  const commented = files.map(({ path, text }) => ({
    path,
    text,
    ignores: findIgnores(text, comments.get(path) ?? []),
  }));
  const { kept: findings, ignored } = applyIgnores(commented, candidates, isOn);
  findings.sort((a, b) =>
    a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.column - b.column
  );
  return { findings, unread, files: files.length, ignored };
}
