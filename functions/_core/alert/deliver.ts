import type { Channel, Sending } from "./channel.ts";
import type { Claim, Outbox, Settlement } from "./outbox.ts";
import { alert } from "./payload.ts";
import type { Routes } from "./routes.ts";

/** What a delivery needs from outside. */
export type DeliverOptions = {
  outbox: Outbox;
  /** Which channels a severity goes to. */
  routes: Routes;
  now: () => Date;
  sleep: (ms: number) => Promise<void>;
  /** No new message is begun after this time; default 50,000 ms: the next call comes after a minute. */
  budgetMs?: number;
};

/** How many messages ended how. */
export type Delivery = { sent: number; retried: number; dead: number; lost: number };

/** The channels that are left alone, and for how many seconds more. */
type Closed = Map<string, number>;

/**
 * Send what is due, one message at a time: claim, post, settle. A crash between the post and the settlement sends that
 * one message twice, with the same sequence number; no order of these steps sends it never.
 *
 * @example
 * const { sent } = await deliverAlerts({ outbox, routes, now: () => new Date(), sleep });
 */
export async function deliverAlerts(options: DeliverOptions): Promise<Delivery> {
  const { outbox, routes, now, sleep } = options;
  const end = now().getTime() + (options.budgetMs ?? 50_000);
  const counts: Delivery = { sent: 0, retried: 0, dead: 0, lost: 0 };
  const names = new Set(Object.values(routes).flat().map((channel) => channel.name));
  const closed = await outbox.closed();
  // A channel that is busy or away takes nothing else either: claiming would only spend attempts.
  while (now().getTime() < end && [...names].some((name) => !closed.has(name))) {
    const claim = await outbox.claim();
    if (!claim) break;
    const { settlement, posts } = await send(claim, closed, options);
    const isOurs = await outbox.settle(claim, settlement);
    if (!isOurs) counts.lost += 1;
    else if (settlement.outcome === "retry") counts.retried += 1;
    else counts[settlement.outcome] += 1;
    // One message a second is what an incoming webhook takes.
    if (posts > 0) await sleep(1000);
  }
  return counts;
}

/** Every channel that has not got the message yet, each on its own: one that is away holds up no other. */
async function send(
  claim: Claim,
  closed: Closed,
  { outbox, routes }: DeliverOptions,
): Promise<{ settlement: Settlement; posts: number }> {
  const parsed = alert.safeParse(claim);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join(".") ?? "";
    const error = `the payload is malformed at "${where}"`;
    return { settlement: { outcome: "dead", error }, posts: 0 };
  }
  const delivered = [...claim.delivered];
  const waits: number[] = [];
  const errors: string[] = [];
  let isDead = false;
  let posts = 0;
  for (const channel of routes[parsed.data.severity]) {
    if (delivered.includes(channel.name)) continue;
    const wait = closed.get(channel.name);
    if (wait !== undefined) {
      waits.push(wait);
      continue;
    }
    posts += 1;
    const sending = await channel.send(parsed.data);
    if (sending.outcome === "sent") delivered.push(channel.name);
    else errors.push(`${channel.name}: ${sending.error}`);
    if (sending.outcome === "dead") isDead = true;
    else await note(channel, sending, { outbox, closed, waits });
  }
  const error = errors.length > 0 ? { error: errors.join("; ") } : {};
  const settlement: Settlement = waits.length > 0
    ? { outcome: "retry", delivered, retryAfterSeconds: Math.min(...waits), ...error }
    : { outcome: isDead ? "dead" : "sent", delivered, ...error };
  return { settlement, posts };
}

async function note(
  channel: Channel,
  sending: Exclude<Sending, { outcome: "dead" }>,
  { outbox, closed, waits }: { outbox: Outbox; closed: Closed; waits: number[] },
): Promise<void> {
  const wait = await outbox.note(channel.name, sending);
  if (wait === undefined) return;
  closed.set(channel.name, wait);
  waits.push(wait);
}
