import { stat } from "node:fs/promises";
import process from "node:process";
import { Command } from "commander";
import { PARSERS } from "../../functions/_core/adapters/readiness-parsers.ts";
import { readRepository } from "../../functions/_core/adapters/readiness-tree.ts";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";
import { type Audit, audit } from "../../functions/_core/readiness/audit.ts";
import { Repository } from "../../functions/_core/readiness/repository.ts";
import type { Rule } from "../../functions/_core/readiness/rule.ts";
import { RULES } from "../../functions/_core/readiness/rules/index.ts";
import { isMain, runCli } from "../cli/run.ts";

type Options = { json?: boolean; rule?: string[]; listRules?: boolean };

/**
 * `bulkhead readiness [path]`: audit a whole application repository. It reads files, nothing else.
 *
 * @example
 * node --import tsx scripts/readiness/readiness.ts ../app --json > report.json
 */
export function command(): Command {
  return new Command("readiness")
    .description(
      "Audit a whole application repository: configuration, secrets, CI, trust boundary, web, database, containers, recovery, observability. Reads files, runs nothing of them.",
    )
    .argument("[path]", "folder of the repository", ".")
    .option("--json", "print one JSON document on stdout")
    .option("--rule <id...>", "only these rules")
    .option("--list-rules", "print the rules and stop")
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  if (options.listRules) return listRules(options);
  const rules = options.rule?.map(ruleOf) ?? RULES;
  await mustBeFolder(path);
  const { files, unread } = await readRepository(path);
  const repository = new Repository(files, PARSERS);
  for (const one of unread) repository.note(one);
  print(await audit(repository, { rules }), options);
}

function print(found: Audit, options: Options): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    return;
  }
  for (const { rule, outcome, severity } of found.judgements) {
    const weight = severity === null ? "" : ` ${severity}`;
    process.stdout.write(
      `${rule.id} ${outcome.status}${weight}: ${rule.title}: ${outcome.summary}\n`,
    );
    for (const one of outcome.evidence) {
      const line = one.line === null ? "" : `:${one.line}`;
      process.stdout.write(`    ${one.kind} ${one.file}${line}: ${one.message}\n`);
    }
  }
  for (const { file, line, reason } of found.unread) {
    process.stdout.write(`unread ${file}${line === undefined ? "" : `:${line}`}: ${reason}\n`);
  }
  process.exitCode = found.judgements.some(({ severity }) => severity === "p0")
    ? EXIT.red
    : EXIT.ok;
}

function listRules(options: Options): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(RULES, null, 2)}\n`);
    return;
  }
  for (const { id, name, severity, area, title } of RULES) {
    process.stdout.write(`${id} ${name} (${severity}, ${area})\n    ${title}\n`);
  }
}

function ruleOf(id: string): Rule {
  const rule = RULES.find((one) => one.id === id.toUpperCase());
  if (rule) return rule;
  throw new BulkheadError("BH_READINESS_RULE", `Cannot run the rule "${id}": there is none`, {
    kind: "usage",
    hint: "bulkhead readiness --list-rules",
  });
}

async function mustBeFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory()) return;
  throw new BulkheadError(
    "BH_READINESS_PATH",
    `Cannot audit "${path}": ${found ? "it is no folder" : "there is no such folder"}`,
    { kind: "usage", hint: "name the folder of a repository, or stand in one" },
  );
}

if (isMain(import.meta.url)) await runCli(command());
