import * as z from "zod";
import { type RouteEnv, routeVariables } from "../../functions/_core/alert/routes.ts";
import { signingKey } from "../hardening/evidence-signature.ts";
import { fail, type Finding, info, pass } from "./finding.ts";

const SLACK = "https://hooks.slack.com/services/…";
const JSON_WEBHOOK = "https://<receiver>/<path>";
const SECRET = '"$(openssl rand -hex 32)"';
const EXAMPLE: Record<string, string> = {
  BULKHEAD_WEBHOOK_SECRET: SECRET,
  BULKHEAD_RUNBOOK_URL: "https://<where docs/ is on the web>",
};

const routes = z.object(routeVariables);
const pingUrl = z.url({ protocol: /^https?$/ });

/**
 * Where alerts, the ping and the signature of evidence go, by the variables of this shell: what is malformed, a severity
 * that would reach nobody, a webhook that would be unsigned; what is only optional is mentioned.
 *
 * @example
 * findings.push(...examineAlerts({ BULKHEAD_SLACK_WEBHOOK_CRITICAL: "https://hooks.slack.com/…" }));
 */
export function examineAlerts(env: Record<string, string>): Finding[] {
  return [...channels(env), ...watch(env), ...evidence(env)];
}

function channels(env: Record<string, string>): Finding[] {
  const parsed = routes.safeParse(env);
  if (!parsed.success) {
    return [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))].map((name) =>
      fail(`env_${name}`, `is malformed: ${detailOf(parsed.error, name)}`, exported(name))
    );
  }
  const given = Object.keys(routeVariables).filter((name) => env[name] !== undefined);
  const addresses = given.filter((name) => !(name in EXAMPLE));
  if (addresses.length === 0) {
    return [
      info(
        "env_SLACK_WEBHOOK_URL",
        "not set in this shell; backup, drill, the watchdog and functions/alert need theirs",
        set("SLACK_WEBHOOK_URL"),
      ),
      info(
        "env_BULKHEAD_WEBHOOK_URL",
        "optional: alerts as signed JSON, beside Slack or instead of it",
        `${set("BULKHEAD_WEBHOOK_URL")} BULKHEAD_WEBHOOK_SECRET=${SECRET}`,
      ),
    ];
  }
  const lacking = missing(parsed.data);
  return [
    ...given.map((name) => pass(`env_${name}`, "set")),
    ...lacking.map(({ name, detail }) => fail(`env_${name}`, detail, exported(name))),
  ];
}

/** What functions/alert would refuse to start with. */
function missing(env: RouteEnv): { name: string; detail: string }[] {
  const found: { name: string; detail: string }[] = [];
  const isJson = Object.entries(env).some(([name, value]) =>
    value !== undefined && /^BULKHEAD_WEBHOOK_(URL|CRITICAL|WARNING|INFO)$/.test(name)
  );
  if (isJson && env.BULKHEAD_WEBHOOK_SECRET === undefined) {
    found.push({
      name: "BULKHEAD_WEBHOOK_SECRET",
      detail: "not set, and no webhook is sent unsigned; give the receiver the same",
    });
  }
  for (const severity of ["CRITICAL", "WARNING", "INFO"] as const) {
    const isHeard = [
      env.SLACK_WEBHOOK_URL,
      env.BULKHEAD_WEBHOOK_URL,
      env[`BULKHEAD_SLACK_WEBHOOK_${severity}`],
      env[`BULKHEAD_WEBHOOK_${severity}`],
    ].some((address) => address !== undefined);
    if (!isHeard) {
      found.push({
        name: `BULKHEAD_SLACK_WEBHOOK_${severity}`,
        detail: `not set: ${severity.toLowerCase()} alerts would reach nobody`,
      });
    }
  }
  return found;
}

function watch(env: Record<string, string>): Finding[] {
  const command = "npx supabase secrets set BULKHEAD_PING_URL=https://hc-ping.com/<uuid>";
  const url = env["BULKHEAD_PING_URL"];
  const name = "env_BULKHEAD_PING_URL";
  if (url === undefined) {
    return [
      info(
        name,
        "not set in this shell; functions/alert needs it, or silence is not noticed",
        command,
      ),
    ];
  }
  return [pingUrl.safeParse(url).success ? pass(name, "set") : fail(name, "is malformed", command)];
}

function evidence(env: Record<string, string>): Finding[] {
  const command = 'export BULKHEAD_EVIDENCE_KEY="$(openssl genpkey -algorithm ed25519)"';
  const name = "env_BULKHEAD_EVIDENCE_KEY";
  const pem = env["BULKHEAD_EVIDENCE_KEY"];
  if (pem === undefined) return [info(name, "optional: signs the evidence folder", command)];
  try {
    signingKey(pem);
    return [pass(name, "set")];
  } catch {
    return [fail(name, "is no Ed25519 private key in PEM", command)];
  }
}

const example = (name: string): string =>
  `${name}=${EXAMPLE[name] ?? (name.includes("SLACK") ? SLACK : JSON_WEBHOOK)}`;

/** For the functions, which keep settings of their own. */
const set = (name: string): string => `npx supabase secrets set ${example(name)}`;

/** For this shell, whose value was looked at. */
const exported = (name: string): string => `export ${example(name)}`;

const detailOf = (error: z.ZodError, name: string): string =>
  error.issues.find((issue) => issue.path[0] === name)?.message ?? "it cannot be read";
