import type { Activity } from "./activity.ts";
import { HISTORY_HOURS } from "./activity.ts";
import { escapeHtml } from "./escape.ts";

const STEP = 6;
const HEIGHT = 20;
/** Shape tells what colour tells: a full bar, a half one from the top, a half one from below. */
const BAR = { pass: [11, 8], fail: [0, HEIGHT - 1], unknown: [6, 8] } as const;

/**
 * One bar an hour: low is a pass, full height a failure, floating an unknown; a gap is an hour without a run.
 *
 * @example
 * historyChart(["pass", "fail", null]);
 */
export function historyChart(hours: Activity["canaries"][number]["hours"]): string {
  const bars = hours.map((status, hour) => {
    if (status === null) return "";
    const [y, height] = BAR[status];
    return `<rect class="${status}" x="${hour * STEP}" y="${y}" width="${
      STEP - 1
    }" height="${height}"/>`;
  });
  return `<svg class="history" viewBox="0 0 ${
    HISTORY_HOURS * STEP
  } ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${
    escapeHtml(historyInWords(hours))
  }"><rect class="floor" y="${HEIGHT - 1}" width="100%" height="1"/>${bars.join("")}</svg>`;
}

/** The chart for who cannot see it. */
export function historyInWords(hours: Activity["canaries"][number]["hours"]): string {
  const count = (status: string) => hours.filter((one) => one === status).length;
  const ran = hours.filter((one) => one !== null).length;
  if (ran === 0) return `no run in ${hours.length} hours`;
  return `of ${hours.length} hours: ${count("pass")} passed, ${count("fail")} failed, ${
    count("unknown")
  } unknown, ${hours.length - ran} without a run`;
}

/**
 * Incidents as bars over the last 30 days, so that overlap and length show.
 *
 * @example
 * timeline(activity.incidents, report.checked_at);
 */
export function timeline(incidents: Activity["incidents"], now: string): string {
  const end = Date.parse(now);
  const begin = end - 30 * 86_400_000;
  const width = 720;
  const at = (time: string) =>
    Math.min(width, Math.max(0, (Date.parse(time) - begin) / (end - begin) * width));
  const rows = incidents.map((incident, row) => {
    const from = at(incident.opened_at);
    const to = incident.resolved_at === null ? width : at(incident.resolved_at);
    const kind = incident.resolved_at === null ? incident.severity : "over";
    return `<rect class="${kind}" x="${from.toFixed(1)}" y="${row * 8}" width="${
      Math.max(3, to - from).toFixed(1)
    }" height="6"/>`;
  });
  const open = incidents.filter((one) => one.resolved_at === null).length;
  return `<svg class="timeline" viewBox="0 0 ${width} ${incidents.length * 8}" height="${
    incidents.length * 8
  }" preserveAspectRatio="none" role="img" aria-label="${incidents.length} incidents in 30 days, ${open} of them open">${
    rows.join("")
  }</svg>`;
}
