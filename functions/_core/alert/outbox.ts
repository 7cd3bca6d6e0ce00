import * as z from "zod";

/** A message that this worker may send until its lease ends. */
export type Claim = {
  id: string;
  token: string;
  kind: string;
  severity: string;
  sequence: number;
  payload: unknown;
};

/** What `bulkhead.settle_alert` is told. */
export type Settlement = {
  outcome: "sent" | "retry" | "dead";
  error?: string;
  retryAfterSeconds?: number;
};

/** The outbox in the database, as a worker sees it. */
export type Outbox = {
  /** False: this very call was accepted before. */
  accept(signature: string): Promise<boolean>;
  /** The next due message, or none. */
  claim(): Promise<Claim | undefined>;
  /** False: the lease was lost, another worker has the message. */
  settle(claim: Claim, settlement: Settlement): Promise<boolean>;
};

/** One SQL statement with parameters; any client can be it. */
export type Query = (text: string, parameters: unknown[]) => Promise<readonly unknown[]>;

const claimRow = z.object({
  id: z.coerce.string(),
  token: z.string(),
  kind: z.string(),
  severity: z.string(),
  sequence: z.coerce.number(),
  payload: z.unknown(),
});

/**
 * The outbox over any Postgres client.
 *
 * @example
 * const outbox = createOutbox((text, parameters) => sql.unsafe(text, parameters));
 */
export function createOutbox(query: Query): Outbox {
  const isTrue = async (text: string, parameters: unknown[]) =>
    z.array(z.object({ yes: z.boolean() })).parse(await query(text, parameters))[0]?.yes === true;
  return {
    accept: (signature) => isTrue("select bulkhead.accept_call($1) as yes", [signature]),
    async claim() {
      const rows = await query(
        "select id::text, lease_token::text as token, kind, severity, sequence, payload from bulkhead.claim_alerts(1)",
        [],
      );
      return z.array(claimRow).parse(rows)[0];
    },
    settle: (claim, { outcome, error, retryAfterSeconds }) =>
      isTrue(
        "select bulkhead.settle_alert($1::bigint, $2::uuid, $3, $4, $5::float8 * interval '1 second') as yes",
        [claim.id, claim.token, outcome, error ?? null, retryAfterSeconds ?? null],
      ),
  };
}
