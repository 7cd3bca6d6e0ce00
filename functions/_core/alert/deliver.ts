import type { Claim, Outbox, Settlement } from "./outbox.ts";
import { alert } from "./payload.ts";
import { renderAlert, renderPlain, type SlackMessage } from "./render.ts";
import type { PostOutcome } from "./slack.ts";

/** What a delivery needs from outside. */
export type DeliverOptions = {
  outbox: Outbox;
  /** Post one message; see `postToSlack`. */
  post: (message: SlackMessage) => Promise<PostOutcome>;
  project: string;
  now: () => Date;
  sleep: (ms: number) => Promise<void>;
  /** No new message is begun after this time; default 50,000 ms: the next call comes after a minute. */
  budgetMs?: number;
};

/** How many messages ended how. */
export type Delivery = { sent: number; retried: number; dead: number; lost: number };

/**
 * Send what is due, one message at a time: claim, post, settle. A crash between the post and the settlement sends that
 * one message twice, with the same sequence number; no order of these steps sends it never.
 *
 * @example
 * const { sent } = await deliverAlerts({ outbox, post, project, now: () => new Date(), sleep });
 */
export async function deliverAlerts(options: DeliverOptions): Promise<Delivery> {
  const { outbox, now, sleep } = options;
  const end = now().getTime() + (options.budgetMs ?? 50_000);
  const counts: Delivery = { sent: 0, retried: 0, dead: 0, lost: 0 };
  while (now().getTime() < end) {
    const claim = await outbox.claim();
    if (!claim) break;
    const settlement = await send(claim, options);
    const isOurs = await outbox.settle(claim, settlement);
    if (!isOurs) counts.lost += 1;
    else if (settlement.outcome === "retry") counts.retried += 1;
    else counts[settlement.outcome] += 1;
    // Slack is busy or away: the next message would fare no better.
    if (settlement.outcome === "retry") break;
    // One message a second is what an incoming webhook takes.
    await sleep(1000);
  }
  return counts;
}

async function send(claim: Claim, { post, project }: DeliverOptions): Promise<Settlement> {
  const parsed = alert.safeParse(claim);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join(".") ?? "";
    return { outcome: "dead", error: `the payload is malformed at "${where}"` };
  }
  const first = await post(renderAlert(parsed.data, { project }));
  if (first.outcome !== "malformed") return first;
  const second = await post(renderPlain(parsed.data, { project }));
  return second.outcome === "malformed" ? { outcome: "dead", error: second.error } : second;
}
