import { lineAt } from "../../lines.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { isRecord, packagesOf } from "./task-files.ts";

/** A package that a manifest asks for, and where. `isDev` where production does without. */
export type Dependency = { name: string; file: RepositoryFile; line: number; isDev: boolean };

const PYTHON =
  /(^|\/)(pyproject\.toml|Pipfile|setup\.(py|cfg)|requirements[^/]*\.(txt|in)|requirements\/[^/]+\.(txt|in))$/;
const DEV_GROUP = /dev|test|lint|doc|type|ci/i;

/**
 * What every manifest of Python and JavaScript asks for; the names of Python's in small letters with `-`.
 *
 * @example
 * dependenciesOf(repository).some(({ name }) => name === "fastapi");
 */
export function dependenciesOf(repository: Repository): Dependency[] {
  return repository.once("dependencies", () => [
    ...packagesOf(repository).flatMap(({ file: path, json }) => {
      const file = repository.file(path);
      return file ? ofPackage(file, json) : [];
    }),
    ...repository.matching(PYTHON).flatMap((file) => ofPython(repository, file)),
  ]);
}

function ofPackage(file: RepositoryFile, json: Record<string, unknown>): Dependency[] {
  return (["dependencies", "devDependencies", "optionalDependencies"] as const).flatMap((key) => {
    const wanted = json[key];
    return isRecord(wanted)
      ? Object.keys(wanted).map((name) => ({
        name,
        file,
        line: lineOf(file, `"${name}"`),
        isDev: key === "devDependencies",
      }))
      : [];
  });
}

function ofPython(repository: Repository, file: RepositoryFile): Dependency[] {
  const isDev = file.context === "dev" || file.context === "test";
  const found = (written: string, dev = isDev): Dependency[] => {
    const name = nameOf(written);
    return name === null ? [] : [{ name, file, line: lineOf(file, written), isDev: dev }];
  };
  if (/\.(txt|in)$/.test(file.path)) {
    return (file.text ?? "").split("\n").slice(0, 5_000).flatMap((line, index) =>
      found(line).map((one) => ({ ...one, line: index + 1 }))
    );
  }
  if (/\.(py|cfg)$/.test(file.path)) {
    // A script that computes: what it asks for stands in quotes, or in lines of their own.
    return [
      ...(file.text ?? "").matchAll(/^\s*["']?([A-Za-z][\w.-]{1,60})(\[[\w, -]*\])?\s*[=<>~!]=/gm),
    ]
      .slice(0, 1_000).flatMap((match) => found(match[1] ?? ""));
  }
  const toml = repository.parse(file, repository.parsers.toml);
  const at = (...path: string[]): unknown => {
    let here: unknown = toml;
    for (const step of path) here = isRecord(here) ? here[step] : undefined;
    return here;
  };
  const list = (value: unknown, dev: boolean) =>
    Array.isArray(value)
      ? value.flatMap((one) => typeof one === "string" ? found(one, dev) : [])
      : [];
  const keys = (value: unknown, dev: boolean) =>
    isRecord(value) ? Object.keys(value).flatMap((one) => found(one, dev)) : [];
  const groups = (value: unknown, read: (group: unknown, dev: boolean) => Dependency[]) =>
    isRecord(value)
      ? Object.entries(value).flatMap(([name, group]) => read(group, DEV_GROUP.test(name)))
      : [];
  return [
    ...list(at("project", "dependencies"), false),
    ...groups(at("project", "optional-dependencies"), list),
    ...groups(at("dependency-groups"), list),
    ...keys(at("tool", "poetry", "dependencies"), false),
    ...groups(
      at("tool", "poetry", "group"),
      (group, dev) => keys(isRecord(group) ? group["dependencies"] : null, dev),
    ),
    ...list(at("tool", "uv", "dev-dependencies"), true),
    ...keys(at("packages"), false),
    ...keys(at("dev-packages"), true),
  ];
}

/** The name in a requirement as `Uvicorn[standard]>=0.30 ; python_version > "3.9"`; null where there is none. */
function nameOf(written: string): string | null {
  const name = /^\s*([A-Za-z0-9][\w.-]{0,80})\s*(\[|[=<>~!@;,# ]|$)/.exec(written.trim())?.[1];
  return name === undefined || name.toLowerCase() === "python"
    ? null
    : name.toLowerCase().replace(/[_.]+/g, "-");
}

/** Lines are looked up once a name: what a text parser leaves out. */
function lineOf({ text }: RepositoryFile, written: string): number {
  const at = text?.indexOf(written) ?? -1;
  if (text === null || at < 0) return 1;
  return lineAt(text, at);
}
