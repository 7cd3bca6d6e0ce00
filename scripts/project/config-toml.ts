import { isDeepStrictEqual } from "node:util";
import { parse } from "smol-toml";
import * as z from "zod";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { FUNCTION_NAMES, FUNCTIONS_FOLDER } from "./kit.ts";

/** What the CLI exposes when config.toml does not say. */
const DEFAULT_SCHEMAS = ["public", "graphql_public"];
const SCHEMA = "bulkhead_api";

const shape = z.looseObject({
  api: z.looseObject({ schemas: z.array(z.string()).optional() }).optional(),
  functions: z.record(z.string(), z.looseObject({ entrypoint: z.string().optional() })).optional(),
});
type Config = z.infer<typeof shape>;

/** What an edit did, for the lock file. */
export type ConfigEdit = { text: string; functions: string[]; schema: boolean };

/**
 * Add the kit's functions and its API schema to the text of a config.toml; comments, order and everything else stay.
 * The result is parsed again and must be exactly what was there and the additions.
 *
 * @throws BulkheadError `BH_CONFIG_TOML` when the file can't be read or edited safely, `BH_FUNCTION_TAKEN` when a name is in use.
 */
export function addToConfig(text: string): ConfigEdit {
  const before = read(text);
  const wanted = read(text);
  const missing = FUNCTION_NAMES.filter((name) => {
    const entry = before.functions?.[name];
    if (entry === undefined) return true;
    if (entry.entrypoint === entrypoint(name)) return false;
    throw new BulkheadError(
      "BH_FUNCTION_TAKEN",
      `Cannot install the function "${name}": config.toml has a [functions.${name}] of its own`,
      { kind: "red", hint: `rename your function: the database calls ${name} by this name` },
    );
  });
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  let edited = text;
  const schemas = before.api?.schemas ?? DEFAULT_SCHEMAS;
  const addsSchema = !schemas.includes(SCHEMA);
  if (addsSchema) {
    edited = addSchema(edited, before, eol);
    wanted.api = { ...wanted.api, schemas: [...schemas, SCHEMA] };
  }
  if (missing.length > 0) {
    edited = edited === "" || edited.endsWith("\n") ? edited : edited + eol;
    edited += missing.map((name) => eol + block(name).replace(/\n/g, eol)).join("");
    wanted.functions = { ...wanted.functions };
    for (const name of missing) wanted.functions[name] = entry(name);
  }
  return { text: checked(edited, wanted), functions: missing, schema: addsSchema };
}

/**
 * Take the additions out again, where they are as they were written; what somebody changed stays and is named.
 *
 * @example
 * const { text, left } = removeFromConfig(readFileSync("supabase/config.toml", "utf8"));
 */
export function removeFromConfig(text: string): { text: string; left: string[] } {
  const before = read(text);
  const wanted = read(text);
  const left: string[] = [];
  let edited = text;
  for (const name of FUNCTION_NAMES) {
    if (before.functions?.[name] === undefined) continue;
    const written = [`\n${block(name)}`, block(name)].flatMap((
      part,
    ) => [part, part.replace(/\n/g, "\r\n")])
      .find((part) => edited.includes(part));
    if (written === undefined || !isDeepStrictEqual(before.functions[name], entry(name))) {
      left.push(`[functions.${name}]`);
      continue;
    }
    edited = edited.replace(written, () => "");
    delete wanted.functions?.[name];
  }
  if (wanted.functions && Object.keys(wanted.functions).length === 0) delete wanted.functions;
  const schemas = before.api?.schemas;
  if (schemas?.includes(SCHEMA)) {
    const array = schemasArray(edited);
    if (array === undefined) left.push(`${SCHEMA} in [api] schemas`);
    else {
      const shorter = array.text.replace(
        /\s*,\s*(["'])bulkhead_api\1|(["'])bulkhead_api\2\s*,?\s*/,
        "",
      );
      edited = edited.slice(0, array.from) + shorter + edited.slice(array.to);
      wanted.api = { ...wanted.api, schemas: schemas.filter((name) => name !== SCHEMA) };
    }
  }
  return { text: checked(edited, wanted), left };
}

/** Whether the file names everything the kit needs; for `bulkhead doctor`. */
export function missingInConfig(text: string): string[] {
  const config = read(text);
  return [
    ...FUNCTION_NAMES.filter((name) => config.functions?.[name]?.entrypoint !== entrypoint(name))
      .map((name) => `[functions.${name}]`),
    ...((config.api?.schemas ?? DEFAULT_SCHEMAS).includes(SCHEMA)
      ? []
      : [`"${SCHEMA}" in [api] schemas`]),
  ];
}

const entrypoint = (name: string): string =>
  `.${FUNCTIONS_FOLDER.slice("supabase".length)}/${name}/index.ts`;
const entry = (name: string) => ({
  enabled: true,
  verify_jwt: false,
  entrypoint: entrypoint(name),
  import_map: `.${FUNCTIONS_FOLDER.slice("supabase".length)}/deno.json`,
});

function block(name: string): string {
  const lines = Object.entries(entry(name)).map(([key, value]) =>
    `${key} = ${JSON.stringify(value)}`
  );
  return `# Bulkhead. The function checks its caller itself: a signature of the database, or a token.
[functions.${name}]
${lines.join("\n")}
`;
}

function addSchema(text: string, config: Config, eol: string): string {
  const line = (names: string[]) => `schemas = [${names.map((name) => `"${name}"`).join(", ")}]`;
  if (config.api?.schemas !== undefined) {
    const array = schemasArray(text);
    if (array === undefined) {
      throw unreadable("the list [api] schemas is not where it can be edited");
    }
    return text.slice(0, array.from) + withSchema(array.text) + text.slice(array.to);
  }
  const added = line([...DEFAULT_SCHEMAS, SCHEMA]);
  const header = /^[ \t]*\[[ \t]*api[ \t]*\][ \t]*(#[^\n]*)?\r?$/m.exec(text);
  if (header) {
    const end = header.index + header[0].replace(/\r$/, "").length;
    return `${text.slice(0, end)}${eol}${added}${text.slice(end)}`;
  }
  if (config.api !== undefined) throw unreadable("the table [api] has no header of its own");
  return `${text === "" || text.endsWith("\n") ? text : text + eol}${eol}[api]${eol}${added}${eol}`;
}

/** `["public", "graphql_public"]` with one more, on its own line where each has one. */
function withSchema(array: string): string {
  const last = [...array.matchAll(/"[^"\n]*"|'[^'\n]*'|#[^\n]*/g)]
    .filter(([token]) => !token.startsWith("#")).at(-1);
  if (last === undefined) return array.replace("[", `["${SCHEMA}"`);
  const end = last.index + last[0].length;
  const indent = /(\r?\n[ \t]*)[^\n]*$/.exec(array.slice(0, last.index))?.[1] ?? " ";
  return `${array.slice(0, end)},${indent}"${SCHEMA}"${array.slice(end)}`;
}

/** Where the brackets of `schemas = […]` in the table [api] begin and end. */
function schemasArray(text: string): { from: number; to: number; text: string } | undefined {
  const header = /^[ \t]*\[[ \t]*api[ \t]*\][ \t]*(?:#[^\n]*)?\r?$/m.exec(text);
  if (!header) return undefined;
  const from = header.index + header[0].length;
  const next = /^[ \t]*\[/m.exec(text.slice(from));
  const section = text.slice(from, next ? from + next.index : undefined);
  const key = /^[ \t]*schemas[ \t]*=[ \t]*(?=\[)/m.exec(section);
  if (!key) return undefined;
  const start = from + key.index + key[0].length;
  for (const { 0: token, index } of text.slice(start).matchAll(/"[^"\n]*"|'[^'\n]*'|#[^\n]*|\]/g)) {
    if (token === "]") {
      return { from: start, to: start + index + 1, text: text.slice(start, start + index + 1) };
    }
  }
  return undefined;
}

function read(text: string): Config {
  try {
    return shape.parse(parse(text));
  } catch (error) {
    const [state = ""] = (error instanceof z.ZodError
      ? error.issues.map(({ path, message }) =>
        `${path.join(".")}: ${message}`
      ).join("; ")
      : error instanceof Error
      ? error.message
      : String(error)).split("\n\n");
    throw unreadable(state.replace(/\s+/g, " "), error);
  }
}

/** An edit by text is only good when the parser says that nothing but the additions changed. */
function checked(text: string, wanted: Config): string {
  if (!isDeepStrictEqual(read(text), shape.parse(wanted))) {
    throw unreadable("an edit would change more than it should");
  }
  return text;
}

function unreadable(state: string, cause?: unknown): BulkheadError {
  return new BulkheadError("BH_CONFIG_TOML", `Cannot edit "supabase/config.toml": ${state}`, {
    kind: "usage",
    hint:
      `correct the file, or add by hand: "${SCHEMA}" to [api] schemas and [functions.backup], alert, status as docs/install.md shows`,
    cause,
  });
}
