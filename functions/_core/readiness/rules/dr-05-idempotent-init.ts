import { gap, strength, weakness } from "../evidence.ts";
import { scriptsOf } from "../models/task-files.ts";
import { shellSources } from "../models/shell-sources.ts";
import type { Shell } from "../models/shell.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const SETUP =
  /(^|\/)((docker-)?(entrypoint|init|initdb|bootstrap|prestart|pre-start|setup|seed|provision|start|migrate)[\w.-]*|[\w.-]*[-_](entrypoint|init|bootstrap|prestart|setup))(\.(sh|bash))?$|(^|\/)docker-entrypoint-initdb\.d\//i;
const SQL =
  /(^|\/)(docker-entrypoint-initdb\.d\/.*|init(db)?(\.d)?\/.*|init[\w-]*|bootstrap|setup|seed[\w-]*)\.sql$/i;

/** What sets a machine up is run again after every half: it must not trip over what it did the first time. */
export const idempotentInit: Rule = {
  id: "DR-05",
  name: "idempotent-init",
  area: "dr",
  severity: "p2",
  confidence: "low",
  section: 5,
  title: "Scripts that set things up stop at an error, and can be run twice",
  remedy:
    "begin with `set -euo pipefail`, create only what is not there, and give files the rights they need",
  check(repository) {
    const evidence = [...inShell(repository), ...inSql(repository), ...openRights(repository)];
    return conclude(evidence, { status: "not-applicable", summary: "no script sets anything up" });
  },
};

function inShell(repository: Repository): Evidence[] {
  return scriptsOf(repository).flatMap(({ file, shell }): Evidence[] => {
    const context = repository.file(file)?.context;
    if (!SETUP.test(file) || context === "test" || context === "docs" || context === "ci") {
      return [];
    }
    // One command, or one that is handed over to, needs no guard.
    const steps = shell.commands.filter(({ program, parent }) =>
      parent === null && !/^(set|export|cd|echo|printf|exec|\[|test|true|:|if)?$/.test(program)
    );
    if (steps.length < 2) return [];
    const text = repository.file(file)?.text ?? "";
    if (stops(shell) || /^#!.*\s-\w*e/.test(text.slice(0, 80))) {
      return [strength(file, 1, "it stops at the first error")];
    }
    const chained = steps.every(({ lists }) => lists.length > 0);
    return chained ? [] : [weakness(file, 1, "it goes on after an error: there is no `set -e`")];
  });
}

function stops(shell: Shell): boolean {
  return shell.commands.some(({ program, args }) =>
    program === "set" &&
    args.some((one, at) =>
      /^-[a-z]*e[a-z]*$/.test(one) || (one === "errexit" && args[at - 1] === "-o")
    )
  );
}

const CREATES =
  /\bcreate\s+(?:unlogged\s+)?(table|schema|extension|index|unique\s+index|sequence|materialized\s+view)\s+(?!if\s+not\s+exists\b|concurrently\s+if\b)/i;

function inSql(repository: Repository): Evidence[] {
  return repository.matching(SQL).flatMap(({ path, text, context }): Evidence[] => {
    // What runs on an empty volume runs once by itself.
    if (
      !text || context === "test" || /initdb\.d\//.test(path) || /(^|\/)migrations\//.test(path)
    ) return [];
    const lines = text.split("\n");
    const at = lines.findIndex((line) =>
      line.length < 5_000 && CREATES.test(line.replace(/--.*$/, ""))
    );
    if (at >= 0) {
      return [weakness(path, at + 1, "it creates what may be there already: add `if not exists`")];
    }
    return /\bif\s+not\s+exists\b/i.test(text)
      ? [strength(path, 1, "it creates only what is not there")]
      : [];
  });
}

function openRights(repository: Repository): Evidence[] {
  return shellSources(repository).flatMap(({ file, shell }) =>
    shell.commands.flatMap(({ program, args, line }): Evidence[] =>
      program === "chmod" && args.some((one) => /^(0?777|a\+rwx|ugo\+rwx)$/.test(one))
        ? [gap(file, line, "everybody may write what `chmod 777` opens")]
        : []
    )
  );
}
