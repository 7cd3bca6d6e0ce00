import { parse, TomlError } from "smol-toml";
import { type Config, parseConfig } from "../../functions/_core/adopt/config.ts";
import { BulkheadError } from "../../functions/_core/errors.ts";
import { readText } from "./read-text.ts";

/**
 * The choices of `bulkhead.toml`; null where there is no such file.
 *
 * @example
 * const config = await readConfig("bulkhead.toml");
 * @throws BulkheadError `BH_ADOPT_CONFIG` where it can't be read.
 */
export async function readConfig(path: string): Promise<Config | null> {
  const text = await readText(path);
  if (text === null) return null;
  try {
    return parseConfig(parse(text), path);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new BulkheadError(
      "BH_ADOPT_CONFIG",
      `Cannot read "${path}": line ${error.line}: ${error.message.split("\n")[0]}`,
      { kind: "usage", hint: "correct the TOML; docs/adopt.md lists every key" },
    );
  }
}
