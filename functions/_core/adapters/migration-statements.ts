import { parse } from "libpg-query";
import * as z from "zod";
import { lineAt } from "../lines.ts";

/** One statement of a script: its text, its line (from 1) and the type of its parse tree. */
export type ScriptStatement = {
  text: string;
  /** In characters, with what stands before it. */
  start: number;
  end: number;
  line: number;
  type: string;
  /** The fields of the tree. */
  tree: Record<string, unknown>;
};

const parsed = z.object({
  stmts: z.array(z.object({
    stmt: z.record(z.string(), z.record(z.string(), z.unknown())),
    stmt_location: z.number().optional(),
    stmt_len: z.number().optional(),
  })).optional(),
});

/**
 * Split a script with Postgres' own parser; null where it can't read the script, which the server then says better.
 *
 * @example
 * const statements = await scriptStatements("select 1; select ';'"); // two
 */
export async function scriptStatements(script: string): Promise<ScriptStatement[] | null> {
  let found: z.infer<typeof parsed>;
  try {
    found = parsed.parse(await parse(script));
  } catch {
    return null;
  }
  // The parser counts bytes.
  const bytes = new TextEncoder().encode(script);
  const decoder = new TextDecoder();
  const chars = (at: number) => decoder.decode(bytes.subarray(0, at)).length;
  return (found.stmts ?? []).map(({ stmt, stmt_location: from = 0, stmt_len: length }) => {
    const [[type, tree] = ["", {}]] = Object.entries(stmt);
    const start = chars(from);
    const end = length === undefined || length === 0 ? script.length : chars(from + length);
    const raw = script.slice(start, end);
    const lead = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(raw)?.[0].length ?? 0;
    return {
      text: raw.slice(lead).trimEnd(),
      start,
      end,
      line: lineAt(script, start + lead),
      type,
      tree,
    };
  });
}
