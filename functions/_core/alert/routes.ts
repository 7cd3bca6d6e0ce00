import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import type { Channel, PostOptions } from "./channel.ts";
import type { RenderOptions } from "./render.ts";
import { slackChannel } from "./slack.ts";
import { webhookChannel } from "./webhook.ts";

/** The channels of each severity. */
export type Routes = Record<Severity, Channel[]>;
type Severity = "critical" | "warning" | "info";

const url = z.url({ protocol: /^https?$/, error: "must be a webhook's URL" }).optional();

/** Where alerts go. A variable with a severity in its name takes that severity away from the one without. */
export const routeVariables = {
  SLACK_WEBHOOK_URL: url,
  BULKHEAD_SLACK_WEBHOOK_CRITICAL: url,
  BULKHEAD_SLACK_WEBHOOK_WARNING: url,
  BULKHEAD_SLACK_WEBHOOK_INFO: url,
  BULKHEAD_WEBHOOK_URL: url,
  BULKHEAD_WEBHOOK_CRITICAL: url,
  BULKHEAD_WEBHOOK_WARNING: url,
  BULKHEAD_WEBHOOK_INFO: url,
  BULKHEAD_WEBHOOK_SECRET: z.string().min(43, "must be 32 random bytes: openssl rand -hex 32")
    .optional(),
  BULKHEAD_RUNBOOK_URL: z.url({ protocol: /^https$/, error: "must begin with https://" })
    .optional(),
};

/** The variables, parsed. */
export type RouteEnv = z.infer<z.ZodObject<typeof routeVariables>>;

/**
 * Channels out of the environment: Slack and a signed JSON webhook, each for all severities or for some. Two variables
 * with one address are one channel.
 *
 * @example
 * const routes = readRoutes(readEnv(process.env, z.object(routeVariables)), { fetch, project, now: () => new Date() });
 * @throws BulkheadError `BH_ENV` when a severity would reach nobody, or a webhook would be unsigned.
 */
export function readRoutes(
  env: RouteEnv,
  options: PostOptions & RenderOptions & { now: () => Date },
): Routes {
  const made = new Map<string, Channel>();
  const channel = (kind: string, severity: string, own?: string, shared?: string): Channel[] => {
    const address = own ?? shared;
    if (address === undefined) return [];
    const key = `${kind} ${address}`;
    const known = made.get(key);
    if (known) return [known];
    const name = own === undefined || own === shared ? kind : `${kind}_${severity}`;
    const next = kind === "slack"
      ? slackChannel(name, address, { ...options, runbookUrl: env.BULKHEAD_RUNBOOK_URL })
      : webhookChannel(name, address, { ...options, secret: secretOf(env) });
    made.set(key, next);
    return [next];
  };
  const of = (severity: Severity, slack?: string, webhook?: string): Channel[] => {
    const channels = [
      ...channel("slack", severity, slack, env.SLACK_WEBHOOK_URL),
      ...channel("webhook", severity, webhook, env.BULKHEAD_WEBHOOK_URL),
    ];
    if (channels.length === 0) {
      throw problem(
        "SLACK_WEBHOOK_URL is not set",
        `set it: ${severity} alerts would reach nobody`,
      );
    }
    return channels;
  };
  return {
    critical: of("critical", env.BULKHEAD_SLACK_WEBHOOK_CRITICAL, env.BULKHEAD_WEBHOOK_CRITICAL),
    warning: of("warning", env.BULKHEAD_SLACK_WEBHOOK_WARNING, env.BULKHEAD_WEBHOOK_WARNING),
    info: of("info", env.BULKHEAD_SLACK_WEBHOOK_INFO, env.BULKHEAD_WEBHOOK_INFO),
  };
}

function secretOf(env: RouteEnv): string {
  if (env.BULKHEAD_WEBHOOK_SECRET !== undefined) return env.BULKHEAD_WEBHOOK_SECRET;
  throw problem(
    "BULKHEAD_WEBHOOK_SECRET is not set",
    "set it to 32 random bytes (openssl rand -hex 32): no webhook is sent unsigned",
  );
}

const problem = (state: string, hint: string): BulkheadError =>
  new BulkheadError("BH_ENV", `Cannot read the environment: ${state}`, { kind: "usage", hint });
