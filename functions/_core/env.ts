import * as z from "zod";
import { BulkheadError } from "./errors.ts";

/** Environment variables as `process.env` and `Deno.env.toObject()` give them. */
export type EnvSource = Readonly<Record<string, string | undefined>>;

/**
 * Parse the variables that a command or function needs, all in one place and before anything is done.
 * An empty value counts as missing. The values themselves never appear in an error.
 *
 * @example
 * const env = readEnv(process.env, z.object({ DATABASE_URL: databaseUrl }));
 * @throws BulkheadError `BH_ENV`, kind `usage`, that names each variable and what it should hold.
 */
export function readEnv<T extends z.ZodType>(source: EnvSource, schema: T): z.infer<T> {
  const present = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(present);
  if (parsed.success) return parsed.data;
  const names = [
    ...new Set(parsed.error.issues.map((issue) => String(issue.path[0] ?? "environment"))),
  ];
  const first = parsed.error.issues[0];
  const state = first && present[names[0] ?? ""] === undefined ? "is not set" : "is malformed";
  throw new BulkheadError(
    "BH_ENV",
    `Cannot read the environment: ${names.join(", ")} ${
      names.length > 1 ? "are missing or malformed" : state
    }`,
    {
      kind: "usage",
      hint: parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`).join("; "),
    },
  );
}

/** A Postgres connection string. */
export const databaseUrl: z.ZodType<string> = z.string(
  "set it to postgresql://user:password@host:5432/database",
)
  .regex(
    /^postgres(ql)?:\/\/[^\s]+$/,
    "must look like postgresql://user:password@host:5432/database",
  );
