import * as z from "zod";
import type { Sending } from "./channel.ts";

/** A message that this worker may send until its lease ends. */
export type Claim = {
  id: string;
  token: string;
  kind: string;
  severity: string;
  sequence: number;
  payload: unknown;
  /** The channels that have it from an earlier try. */
  delivered: string[];
};

/** What `bulkhead.settle_alert` is told. */
export type Settlement = {
  outcome: "sent" | "retry" | "dead";
  error?: string;
  retryAfterSeconds?: number;
  delivered?: string[];
};

/** The outbox in the database, as a worker sees it. */
export type Outbox = {
  /** False: this very call was accepted before. */
  accept(signature: string): Promise<boolean>;
  /** The next due message, or none. */
  claim(): Promise<Claim | undefined>;
  /** False: the lease was lost, another worker has the message. */
  settle(claim: Claim, settlement: Settlement): Promise<boolean>;
  /** The channels that are left alone, and for how many seconds more. */
  closed(): Promise<Map<string, number>>;
  /** Tell how a channel answered; the seconds that it is left alone for now, or undefined when it took the message. */
  note(
    channel: string,
    sending: Exclude<Sending, { outcome: "dead" }>,
  ): Promise<number | undefined>;
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
  delivered: z.array(z.string()),
});
const closedRow = z.object({ name: z.string(), seconds: z.coerce.number() });
const noteRow = z.object({ seconds: z.coerce.number().nullable() });

/**
 * The outbox over any Postgres client. Times are the database's, unless `now` gives others.
 *
 * @example
 * const outbox = createOutbox((text, parameters) => sql.unsafe(text, parameters));
 */
export function createOutbox(query: Query, now?: () => Date): Outbox {
  const at = () => now?.().toISOString() ?? null;
  const isTrue = async (text: string, parameters: unknown[]) =>
    z.array(z.object({ yes: z.boolean() })).parse(await query(text, parameters))[0]?.yes === true;
  return {
    accept: (signature) => isTrue("select bulkhead.accept_call($1) as yes", [signature]),
    async claim() {
      const rows = await query(
        `select id::text, lease_token::text as token, kind, severity, sequence, payload, to_json(delivered_to) as delivered
        from bulkhead.claim_alerts(1, at_time => coalesce($1::timestamptz, now()))`,
        [at()],
      );
      return z.array(claimRow).parse(rows)[0];
    },
    settle: (claim, { outcome, error, retryAfterSeconds, delivered }) =>
      isTrue(
        `select bulkhead.settle_alert(
          $1::bigint, $2::uuid, $3, $4, $5::float8 * interval '1 second', coalesce($6::timestamptz, now()),
          case when $7::text is not null then array(select jsonb_array_elements_text($7::text::jsonb)) end
        ) as yes`,
        [
          claim.id,
          claim.token,
          outcome,
          error ?? null,
          retryAfterSeconds ?? null,
          at(),
          delivered === undefined ? null : JSON.stringify(delivered),
        ],
      ),
    async closed() {
      const rows = await query(
        "select name, seconds from bulkhead.closed_channels(coalesce($1::timestamptz, now()))",
        [at()],
      );
      return new Map(z.array(closedRow).parse(rows).map(({ name, seconds }) => [name, seconds]));
    },
    async note(channel, sending) {
      const isSent = sending.outcome === "sent";
      const rows = await query(
        `select extract(epoch from bulkhead.note_channel(
          $1, $2::boolean, $3, $4::float8 * interval '1 second', coalesce($5::timestamptz, now())
        ) - coalesce($5::timestamptz, now()))::float8 as seconds`,
        [
          channel,
          isSent,
          isSent ? null : sending.error,
          isSent ? null : sending.retryAfterSeconds ?? null,
          at(),
        ],
      );
      return z.array(noteRow).parse(rows)[0]?.seconds ?? undefined;
    },
  };
}
