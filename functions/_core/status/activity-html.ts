import type { Activity } from "./activity.ts";
import { historyChart, timeline } from "./charts.ts";
import { ageOf, escapeHtml, timeHtml } from "./escape.ts";

/** Incidents that the timeline draws; the list below it names as many. */
const SHOWN = 20;

/**
 * The sections of the page that speak of time: incidents, canaries, backups, drills, the ledger's head.
 *
 * @example
 * activityHtml(activity, report.checked_at);
 */
export function activityHtml(activity: Activity, now: string): string {
  return [
    incidents(activity, now),
    canaries(activity, now),
    backups(activity, now),
    drills(activity),
    ledger(activity, now),
  ].join("\n");
}

function section(id: string, title: string, note: string, body: string): string {
  return `<section aria-labelledby="${id}">\n<h2 id="${id}">${title} <small>${note}</small></h2>\n${body}\n</section>`;
}

function incidents({ incidents }: Activity, now: string): string {
  const open = incidents.filter((one) => one.resolved_at === null).length;
  if (incidents.length === 0) {
    return section("incidents", "Incidents", "none in 30 days", `<p>Nothing was open.</p>`);
  }
  const shown = incidents.slice(0, SHOWN);
  const items = shown.map((one) => {
    const state = one.resolved_at === null
      ? `<span class="chip fail">Open</span>`
      : `<span class="chip over">Over</span>`;
    const took = one.resolved_at === null
      ? `for ${ageOf(one.opened_at, now)}`
      : `lasted ${ageOf(one.opened_at, one.resolved_at)}`;
    const subject = one.subject === null ? "" : `: <code>${escapeHtml(one.subject)}</code>`;
    return `<li>${state}<span>${
      escapeHtml(one.title)
    }${subject}</span><span class="note">${one.severity}, ${
      timeHtml(one.opened_at)
    }, ${took}</span></li>`;
  });
  const rest = incidents.length - shown.length;
  return section(
    "incidents",
    "Incidents",
    `${open} open, ${incidents.length - open} over in 30 days`,
    `${
      timeline(shown, now)
    }\n<p class="span"><span>30 days ago</span><span>now</span></p>\n<ul class="rows">\n${
      items.join("\n")
    }\n</ul>` +
      (rest > 0 ? `\n<p class="meta">And ${rest} more.</p>` : ""),
  );
}

function canaries({ canaries }: Activity, now: string): string {
  const items = canaries.map(({ title, hours, last_run_at }) =>
    `<li><span class="what">${escapeHtml(title)}</span>${historyChart(hours)}<span class="note">${
      last_run_at === null ? "never ran" : `ran ${ageOf(last_run_at, now)} ago`
    }</span></li>`
  );
  return section(
    "canaries-history",
    "Canary history",
    "48 hours; low passes, full fails, floating is unknown, a gap did not run",
    `<ul class="rows charts">\n${items.join("\n")}\n</ul>`,
  );
}

function backups({ tenants, verified }: Activity, now: string): string {
  const read = verified === null
    ? "none was read back yet"
    : `read back to the last byte ${ageOf(verified.verified_at, now)} ago`;
  if (tenants.length === 0) {
    return section(
      "backups-by-tenant",
      "Backups by tenant",
      read,
      `<p>There is no backup yet.</p>`,
    );
  }
  const lines = tenants.map((one) =>
    `<tr><th scope="row"><code>${escapeHtml(one.tenant)}</code></th><td>${
      timeHtml(one.backed_up_at)
    }</td><td>${ageOf(one.backed_up_at, now)}</td><td>${
      one.stored_bytes === null ? "" : bytes(one.stored_bytes)
    }</td></tr>`
  );
  return section(
    "backups-by-tenant",
    "Backups by tenant",
    `the oldest first; ${read}`,
    table("Newest backup of each tenant", ["Tenant", "Backed up", "Age", "Stored"], lines),
  );
}

function drills({ drills }: Activity): string {
  if (drills.length === 0) {
    return section("drills", "Restore drills", "none yet", `<p>No backup was restored yet.</p>`);
  }
  const lines = drills.map((one) =>
    `<tr><th scope="row">${timeHtml(one.finished_at)}</th><td>${
      one.is_passed ? "Passed" : `<span class="chip fail">Failed</span>`
    }</td><td>${one.rows.toLocaleString("en")}</td><td>${duration(one.rto_seconds)}</td><td>${
      duration(one.rpo_seconds)
    }</td></tr>`
  );
  return section(
    "drills",
    "Restore drills",
    "the newest first",
    table("Restore drills", ["Ended", "Result", "Rows", "RTO", "RPO"], lines),
  );
}

function ledger({ ledger, migration }: Activity, now: string): string {
  const facts: [string, string][] = [
    ["Head", `<code>${escapeHtml(ledger.head)}</code>`],
    ["Newest seal", ledger.sealed_at === null ? "none" : `${ageOf(ledger.sealed_at, now)} ago`],
    ["Seals", ledger.seals.toLocaleString("en")],
    [
      "Last anchor outside",
      ledger.anchored_at === null ? "none" : timeHtml(ledger.anchored_at),
    ],
    ["Newest migration", migration === null ? "not recorded" : escapeHtml(migration)],
  ];
  return section(
    "ledger-head",
    "Ledger",
    "",
    `<dl>\n${facts.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join("\n")}\n</dl>`,
  );
}

function table(caption: string, heads: readonly string[], lines: readonly string[]): string {
  // A region that scrolls must be reachable by keyboard.
  return `<div class="table" tabindex="0" role="region" aria-label="${caption}"><table><caption class="hidden">${caption}</caption><thead><tr>${
    heads.map((head) => `<th scope="col">${head}</th>`).join("")
  }</tr></thead><tbody>\n${lines.join("\n")}\n</tbody></table></div>`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`;
}

function bytes(count: number): string {
  if (count < 1_000) return `${count} B`;
  return count < 1_000_000
    ? `${(count / 1_000).toFixed(1)} kB`
    : `${(count / 1_000_000).toFixed(1)} MB`;
}
