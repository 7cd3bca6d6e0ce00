/** What a failed command exits with; `docs/exit-codes.md` is the same table for people. */
export const EXIT = {
  ok: 0,
  /** A check is red, a drill failed, a condition that was asked about does not hold. */
  red: 1,
  /** A flag, a variable or a file is missing or malformed. Nothing was done. */
  usage: 2,
  /** Something could not be evaluated; `unknown` is never green. */
  unknown: 3,
  /** A database, an object store or a webhook could not be reached. */
  unavailable: 4,
  /** A key is wrong, an object is corrupt, a chain does not match. */
  integrity: 5,
  /** A defect of the kit itself; run again with BULKHEAD_DEBUG=1 for the stack trace. */
  unexpected: 70,
  /** Interrupted (Ctrl-C). */
  interrupted: 130,
} as const;

/** The kind of a failure: decides the exit code of a command and the HTTP status of a function. */
export type ErrorKind = "red" | "usage" | "unknown" | "unavailable" | "integrity" | "refused";

const STATUS: Record<ErrorKind, number> = {
  red: 409,
  usage: 400,
  unknown: 500,
  unavailable: 503,
  integrity: 422,
  refused: 403,
};

/**
 * The one error class of the kit: what happened (`message`), a stable `code`, what to do (`hint`).
 *
 * @example
 * throw new BulkheadError("BH_KEK_MISSING", "Cannot read the key-encryption key: BULKHEAD_KEK is not set", {
 *   kind: "usage",
 *   hint: "Set BULKHEAD_KEK to 32 random bytes in base64: openssl rand -base64 32",
 * });
 */
export class BulkheadError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly hint: string;

  constructor(
    code: string,
    message: string,
    options: { kind: ErrorKind; hint: string; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "BulkheadError";
    this.code = code;
    this.kind = options.kind;
    this.hint = options.hint;
  }

  /** The process exit code for this error, see {@link EXIT}. */
  get exitCode(): number {
    return this.kind === "refused" ? EXIT.red : EXIT[this.kind];
  }

  /** The HTTP status for this error. */
  get status(): number {
    return STATUS[this.kind];
  }
}

/** What an error says; what is no error but was thrown, as text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Why a text could not be read, in one line.
 *
 * @example
 * reasonOf(new SyntaxError("Unexpected token (1:4)\n> 1 | …")); // "Unexpected token (1:4)"
 */
export function reasonOf(error: unknown): string {
  // A parser's stack ended.
  return error instanceof RangeError ? "it is nested too deeply" : firstLineOf(error);
}

/** The first line of what an error says, cut to 200 characters. */
export function firstLineOf(error: unknown): string {
  return (messageOf(error).split("\n")[0] ?? "").slice(0, 200);
}
