import { CommanderError } from "commander";
import { BulkheadError, EXIT } from "../../functions/_core/errors.ts";

/** What the entry point prints for a failure, and what it exits with. */
export type Explained = { code: string; message: string; hint: string; exit: number };

/** Network and server codes that mean "there was no database to talk to". */
const UNREACHABLE = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "CONNECT_TIMEOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "57P01",
  "57P03",
  "53300",
]);
/** SQLSTATEs that mean "the server answered, and would not let us in". */
const REFUSED_LOGIN = new Set(["28P01", "28000", "3D000"]);
/** SQLSTATEs of a name that does not exist: the kit is most likely not installed. */
const UNDEFINED = new Set(["42P01", "42883", "3F000", "42704"]);

/**
 * Turn whatever was thrown into one line that names the thing and one line that says what to do.
 *
 * @example
 * explain(new BulkheadError("BH_ENV", "Cannot read …", { kind: "usage", hint: "Set …" }));
 * // { code: "BH_ENV", message: "Cannot read …", hint: "Set …", exit: 2 }
 */
export function explain(error: unknown, usage = "bulkhead --help"): Explained {
  if (error instanceof BulkheadError) {
    return { code: error.code, message: error.message, hint: error.hint, exit: error.exitCode };
  }
  if (error instanceof CommanderError) return explainUsage(error, usage);
  const code = codeOf(error);
  const message = error instanceof Error ? oneLine(error.message) : oneLine(String(error));
  const brokeOff = isBrokenConnection(error);
  if (brokeOff || code !== undefined && UNREACHABLE.has(code)) {
    const where = brokeOff ? "the connection broke off" : message || code;
    return {
      code: "BH_DATABASE_UNAVAILABLE",
      message: `Cannot reach the database: ${where}`,
      hint: "check that the server runs and that the connection string names its host and port",
      exit: EXIT.unavailable,
    };
  }
  if (code !== undefined && REFUSED_LOGIN.has(code)) {
    return {
      code,
      message: `Cannot log in to the database: ${message}`,
      hint: "check the user, the password and the database name in the connection string",
      exit: EXIT.unavailable,
    };
  }
  if (code !== undefined && UNDEFINED.has(code) && /bulkhead/.test(message)) {
    return {
      code: "BH_NOT_INSTALLED",
      message: `Cannot use the kit in this database: ${message}`,
      hint:
        "apply the migrations: supabase db push; where an older kit is installed, bulkhead upgrade first",
      exit: EXIT.unknown,
    };
  }
  // A column that the command knows and the database does not: catalogs keep theirs, so it is the kit's.
  if (code === "42703" && error instanceof Error && error.name === "PostgresError") {
    return {
      code: "BH_KIT_VERSION",
      message: `Cannot read the kit in this database: ${message}`,
      hint: "the database has another version of it: bulkhead upgrade, then supabase db push",
      exit: EXIT.unknown,
    };
  }
  if (code === "55P03") {
    return {
      code: "BH_LOCKED",
      message: `Cannot get a lock in time: ${message}`,
      hint:
        "another session holds it: select pid, query from pg_stat_activity where state <> 'idle'; try again when it has ended",
      exit: EXIT.unavailable,
    };
  }
  if (error instanceof Error && error.name === "PostgresError" && code !== undefined) {
    const hint = "hint" in error && typeof error.hint === "string" ? oneLine(error.hint) : "";
    // The kit's own: the message says what to do.
    if (/^BH\d{3}$/.test(code)) {
      return {
        code,
        message,
        hint: hint === "" ? `see ${code} in docs/errors.md` : hint,
        exit: EXIT.red,
      };
    }
    return {
      code,
      message: `The database refused: ${message}`,
      hint: hint === "" ? "run again with BULKHEAD_DEBUG=1 to see the statement" : hint,
      exit: EXIT.red,
    };
  }
  return {
    code: "BH_UNEXPECTED",
    message: `Unexpected failure: ${message}`,
    hint: "run again with BULKHEAD_DEBUG=1 and report the stack trace",
    exit: EXIT.unexpected,
  };
}

function explainUsage(error: CommanderError, usage: string): Explained {
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const text = first.replace(/option '([^']*)'/, 'flag "$1"').replace(/'([^']*)'/g, '"$1"');
  const suggestion = rest.join(" ").replace(/^\(|\)$/g, "").trim();
  return {
    code: "BH_USAGE",
    message: text.charAt(0).toUpperCase() + text.slice(1),
    hint: suggestion === "" ? usage : `${suggestion} See ${usage}`,
    exit: EXIT.usage,
  };
}

/** postgres.js writes to the socket in a later turn, also when it has none any more (3.4). */
function isBrokenConnection(error: unknown): boolean {
  return error instanceof TypeError &&
    /\bpostgres[\\/](cjs[\\/])?src[\\/]connection\.js/.test(error.stack ?? "");
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  // Node groups the attempts on IPv4 and IPv6 in one AggregateError.
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").trim();
}
