import type { Alert, IncidentAlert, Member, NoticeAlert } from "./payload.ts";
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

/** `runbookUrl` is where the project shows its files, `https://github.com/me/app/blob/main`. */
export type RenderOptions = { project: string; runbookUrl?: string | undefined };

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
export function renderAlert(alert: Alert, options: RenderOptions): SlackMessage {
  const blocks = alert.kind === "notice"
    ? noticeBlocks(alert, options)
    : incidentBlocks(alert, options);
  return { text: fit(headline(alert), 300), blocks, ...QUIET };
}

/**
 * The same without blocks, for when Slack refuses them: one text, nothing in it that could be malformed.
 *
 * @example
 * await postToSlack(url, renderPlain(alert, { project }), { fetch });
 */
export function renderPlain(alert: Alert, options: RenderOptions): SlackMessage {
  const lines = alert.kind === "notice"
    ? [headline(alert), options.project, alert.payload.detail]
    : [
      headline(alert),
      `${options.project} ${alert.payload.subject}`,
      ...alert.payload.members.slice(1, LISTED).map((member) => member.subject || member.title),
      alert.payload.detail,
      alert.payload.remediation,
      footer(alert),
    ];
  return { text: fit(lines.filter((line) => line !== "").join("\n"), 3000), ...QUIET };
}

function headline(alert: Alert): string {
  if (alert.kind === "notice") return `${MARK[alert.severity]} ${alert.payload.title}`;
  const { kind, payload } = alert;
  const names = new Set(payload.members.map((member) => member.name));
  const title = payload.total < 2
    ? payload.title
    : names.size > 1
    ? `${number(payload.total)} checks`
    : `${payload.title} (${number(payload.total)} places)`;
  if (kind === "resolved") return `🟢 Resolved: ${title}`;
  if (payload.status === "unknown") return `⚪ Can't check: ${title}`;
  const again = kind === "worsened" ? "Worse: " : kind === "repeated" ? "Still: " : "";
  return `${MARK[payload.severity]} ${again}${title}`;
}

const BLIND = [
  "Take it for a failure until it can look again: its silence means nothing.",
  "Run the query below by hand and remove what stops it.",
  "It resolves by itself after two runs that could look.",
];

const MARK = { critical: "🔴 Critical:", warning: "🟠 Warning:", info: "🔵" } as const;

/** So many of a message's incidents are listed, the gravest first. */
const LISTED = 12;

function incidentBlocks(alert: IncidentAlert, options: RenderOptions): SlackBlock[] {
  const { payload, kind } = alert;
  const isOver = kind === "resolved";
  const isGroup = payload.members.length > 1;
  const facts: [string, string][] = [
    ["Count", isOver || payload.observed == null ? "" : count(payload.observed, payload.threshold)],
    ["Where", payload.subject],
    ["Tenants", payload.tenants],
    ["Project", options.project],
    ["First seen", utc(payload.opened_at)],
    isOver
      ? ["Lasted", duration(payload.opened_at, payload.resolved_at ?? payload.last_seen_at)]
      : ["Runs breached", String(payload.breaches)],
    ["Came back", payload.relapses === 0 ? "" : times(payload.relapses)],
    ["Looked after by", isOver ? "" : payload.acknowledged_by],
  ];
  const ids = payload.sample_ids.slice(0, 5).map((id) => code(id, 110)).filter((id) => id !== "");
  return [
    header(headline(alert)),
    ...isGroup ? raw(list(payload.members, payload.total)) : [],
    ...section(isGroup ? "The first of them:" : "", 100),
    ...section(isOver ? "The last checks in a row were clean. It was:" : "", 100),
    ...section(payload.detail, isGroup ? 800 : 1500),
    ...fields(facts),
    ...isOver ? [] : [
      ...raw(ids.length > 0 ? `*Sample ids*  ${ids.join("  ")}` : ""),
      ...steps(payload.status === "unknown" ? BLIND : payload.remediation.split("\n")),
      ...raw(
        payload.reproduce_sql === ""
          ? ""
          : `*See it*\n${codeBlock(payload.reproduce_sql, isGroup ? 1000 : 1500)}`,
      ),
      ...raw(runbook(payload.runbook, options.runbookUrl)),
      ...raw(quiet(payload.fingerprint)),
    ],
    ...section(others(payload.others), 100),
    context(footer(alert)),
  ];
}

/** One line an incident: what is new of it, where, how many. */
function list(members: Member[], total: number): string {
  const titles = new Set(members.map((member) => member.title));
  const lines = members.slice(0, LISTED).map((member) => {
    const place = titles.size > 1 ? `${member.title}, ${member.subject}` : member.subject;
    const size = member.observed == null || member.kind === "resolved"
      ? ""
      : ` · ${count(member.observed, member.threshold)}`;
    const whose = member.tenants === "" ? "" : ` · ${fit(member.tenants, 40)}`;
    return `• ${NEWS[member.kind]}${fit(place, 80)}${size}${whose}`;
  });
  const more = total - lines.length;
  return [...lines, ...more > 0 ? [`… and ${number(more)} more: \`bulkhead incidents\``] : []]
    .join("\n");
}

const NEWS = {
  opened: "",
  worsened: "worse: ",
  repeated: "still: ",
  resolved: "🟢 resolved: ",
} as const;

const others = (amount: number): string =>
  amount === 0 ? "" : `${number(amount)} more of the same were open before.`;

const times = (amount: number): string => amount === 1 ? "once" : `${number(amount)} times`;

/** What to type when it is known: the first twelve digits are enough. */
function quiet(fingerprint: string): string {
  const short = fingerprint.slice(0, 12);
  return `*On it*  ${code(`bulkhead ack ${short}`, 60)}\n*Quiet*  ${
    code(`bulkhead mute ${short} --for 2h --reason "…"`, 90)
  }`;
}

function noticeBlocks(alert: NoticeAlert, options: RenderOptions): SlackBlock[] {
  const { payload } = alert;
  const facts = Object.entries(payload.facts).map(([label, value]): [string, string] => [
    label,
    String(value ?? ""),
  ]);
  return [
    header(headline(alert)),
    ...section(payload.detail, 2000),
    ...fields([...facts.slice(0, 9), ["Project", options.project]]),
    ...steps(payload.actions),
    ...raw(runbook(payload.runbook, options.runbookUrl)),
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
  const shown = lines.filter((line) => line.trim() !== "").slice(0, 3);
  if (shown.length === 0) return [];
  const list = shown.map((line, index) => `${index + 1}. ${fit(line, 280)}`).join("\n");
  return raw(`*First actions*\n${list}`);
}

/** From `bulkhead.canaries`: a link where somebody put one there, or where the project says where its files are. */
function runbook(place: string, base: string | undefined): string {
  if (place === "") return "";
  const isFile = /^docs\/[a-z0-9_/-]+\.md$/.test(place);
  const address = isFile && base !== undefined ? `${base.replace(/\/+$/, "")}/${place}` : place;
  const isLink = /^https:\/\/[^\s<>|]+$/.test(address) && address.length < 300;
  return `*Runbook*  ${
    isLink ? `<${fit(address, 600)}|${isFile ? place : "open"}>` : code(place, 200)
  }`;
}
