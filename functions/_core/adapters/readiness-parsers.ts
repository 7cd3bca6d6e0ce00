import { parse as parseToml } from "smol-toml";
import type { Parsers } from "../readiness/parsers.ts";
import { parseScript } from "./lint-parser.ts";
import { parseSql } from "./lint-sql.ts";
import { parseDockerfile } from "./readiness-dockerfile.ts";
import { loadPython } from "./readiness-python.ts";
import { findTokens } from "./readiness-secrets.ts";
import { parseShell } from "./readiness-shell.ts";
import { parseYaml } from "./readiness-yaml.ts";

/** Every parser that the audit asks, all of them running in this process and on text alone. */
export const PARSERS: Parsers = {
  yaml: parseYaml,
  dockerfile: parseDockerfile,
  shell: parseShell,
  python: loadPython,
  script: parseScript,
  sql: parseSql,
  toml: (text) => parseToml(text),
  tokens: findTokens,
};
