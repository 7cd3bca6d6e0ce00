import type { Alert, IncidentAlert, NoticeAlert } from "./payload.ts";
import { code, codeBlock, fit, plain } from "./text.ts";

type Text =
  | { type: "mrkdwn"; text: string; verbatim: true }
  | { type: "plain_text"; text: string; emoji: true };
export type SlackBlock =
  | { type: "header"; text: Text }
  | { type: "section"; text?: Text; fields?: Text[] }
  | { type: "context"; elements: Text[] }
  | { type: "divider" };

/** What is posted to an incoming webhook. `text` is what notifications show. */
export type SlackMessage = {
  text: string;
  blocks?: SlackBlock[];
  unfurl_links: false;
  unfurl_media: false;
  link_names: false;
  parse: "none";
};

/** Nothing in a message becomes a link or a mention that this file did not write. */
const QUIET = {
  unfurl_links: false,
  unfurl_media: false,
  link_names: false,
  parse: "none",
} as const;

/**
 * A message that a person is glad to get at 3 a.m.: what, since when, how many, whose, how to see it, what to do first.
 * The parts add up to fewer than 10,000 characters and 50 blocks, whatever the rows hold.
 *
 * @example
 * const message = renderAlert(alert, { project: "abcd.supabase.co" });
 */
export function renderAlert(alert: Alert, options: { project: string }): SlackMessage {
  const blocks = alert.kind === "notice"
    ? noticeBlocks(alert, options.project)
    : incidentBlocks(alert, options.project);
  return { text: fit(headline(alert), 300), blocks, ...QUIET };
}

/**
 * The same without blocks, for when Slack refuses them: one text, nothing in it that could be malformed.
 *
 * @example
 * await postToSlack(url, renderPlain(alert, { project }), { fetch });
 */
export function renderPlain(alert: Alert, options: { project: string }): SlackMessage {
  const lines = alert.kind === "notice"
    ? [headline(alert), options.project, alert.payload.detail]
    : [
      headline(alert),
      `${options.project} ${alert.payload.subject}`,
      alert.payload.detail,
      alert.payload.remediation,
      footer(alert),
    ];
  return { text: fit(lines.filter((line) => line !== "").join("\n"), 3000), ...QUIET };
}

function headline(alert: Alert): string {
  const { kind, payload } = alert;
  if (kind === "notice") return `${MARK[alert.severity]} ${payload.title}`;
  if (kind === "resolved") return `🟢 Resolved: ${payload.title}`;
  if (payload.status === "unknown") return `⚪ Can't check: ${payload.title}`;
  const again = kind === "worsened" ? "Worse: " : kind === "repeated" ? "Still: " : "";
  return `${MARK[payload.severity]} ${again}${payload.title}`;
}

const BLIND = [
  "Take it for a failure until it can look again: its silence means nothing.",
  "Run the query below by hand and remove what stops it.",
  "It resolves by itself after two runs that could look.",
];

const MARK = { critical: "🔴 Critical:", warning: "🟠 Warning:", info: "🔵" } as const;

function incidentBlocks(alert: IncidentAlert, project: string): SlackBlock[] {
  const { payload, kind } = alert;
  const isOver = kind === "resolved";
  const facts: [string, string][] = [
    ["Count", isOver || payload.observed == null ? "" : count(payload.observed, payload.threshold)],
    ["Where", payload.subject],
    ["Tenants", payload.tenants],
    ["Project", project],
    ["First seen", utc(payload.opened_at)],
    isOver
      ? ["Lasted", duration(payload.opened_at, payload.resolved_at ?? payload.last_seen_at)]
      : ["Runs breached", String(payload.breaches)],
  ];
  const ids = payload.sample_ids.slice(0, 5).map((id) => code(id, 110)).filter((id) => id !== "");
  return [
    header(headline(alert)),
    ...section(isOver ? "Two checks in a row were clean. It was:" : "", 100),
    ...section(payload.detail, 1500),
    ...fields(facts),
    ...isOver ? [] : [
      ...raw(ids.length > 0 ? `*Sample ids*  ${ids.join("  ")}` : ""),
      ...steps(payload.status === "unknown" ? BLIND : payload.remediation.split("\n")),
      ...raw(
        payload.reproduce_sql === "" ? "" : `*See it*\n${codeBlock(payload.reproduce_sql, 1500)}`,
      ),
      ...raw(runbook(payload.runbook)),
    ],
    context(footer(alert)),
  ];
}

function noticeBlocks(alert: NoticeAlert, project: string): SlackBlock[] {
  const { payload } = alert;
  const facts = Object.entries(payload.facts).map(([label, value]): [string, string] => [
    label,
    String(value ?? ""),
  ]);
  return [
    header(headline(alert)),
    ...section(payload.detail, 2000),
    ...fields([...facts.slice(0, 9), ["Project", project]]),
    ...steps(payload.actions),
    ...raw(runbook(payload.runbook)),
    context(alert.id === undefined ? "notice" : `notice ${alert.id}`),
  ];
}

const footer = (alert: IncidentAlert): string =>
  `${alert.payload.name} · incident ${alert.payload.incident_id} · message ${alert.payload.sequence} · fingerprint ${alert.payload.fingerprint}`;

const count = (observed: number, threshold: number | null | undefined): string =>
  threshold == null ? number(observed) : `${number(observed)} (allowed: ${number(threshold)})`;

/** Grouped by hand: the locale data of runtimes differ. */
const number = (value: number): string =>
  String(value).replace(/^(-?\d+)/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ","));

const utc = (date: Date): string => `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;

function duration(from: Date, to: Date): string {
  const minutes = Math.max(0, Math.round((to.getTime() - from.getTime()) / 60_000));
  const parts = [
    [Math.floor(minutes / 1440), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ] as const;
  const shown = parts.filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`);
  return shown.length > 0 ? shown.join(" ") : "under a minute";
}

const header = (text: string): SlackBlock => ({
  type: "header",
  text: { type: "plain_text", text: plain(text, 150), emoji: true },
});

const mrkdwn = (text: string): Text => ({ type: "mrkdwn", text, verbatim: true });

/** For text that is escaped already. */
const raw = (text: string): SlackBlock[] =>
  text === "" ? [] : [{ type: "section", text: mrkdwn(text) }];

const section = (text: string, max: number): SlackBlock[] => raw(fit(text, max));

const context = (text: string): SlackBlock => ({
  type: "context",
  elements: [mrkdwn(fit(text, 300))],
});

function fields(facts: [string, string][]): SlackBlock[] {
  const shown = facts.filter(([, value]) => value !== "").slice(0, 10);
  if (shown.length === 0) return [];
  return [{
    type: "section",
    fields: shown.map(([label, value]) => mrkdwn(`*${fit(label, 40)}*\n${fit(value, 250)}`)),
  }];
}

function steps(lines: string[]): SlackBlock[] {
  const shown = lines.filter((line) => line.trim() !== "").slice(0, 5);
  if (shown.length === 0) return [];
  const list = shown.map((line, index) => `${index + 1}. ${fit(line, 280)}`).join("\n");
  return raw(`*First actions*\n${list}`);
}

/** From `bulkhead.canaries`, so a link only where somebody put one there. */
function runbook(place: string): string {
  if (place === "") return "";
  const isLink = /^https:\/\/[^\s<>|]+$/.test(place) && place.length < 300;
  return `*Runbook*  ${isLink ? `<${fit(place, 600)}|open>` : code(place, 200)}`;
}
