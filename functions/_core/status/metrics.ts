import type { Activity } from "./activity.ts";
import type { StatusReport } from "./contract.ts";
import { sections } from "./summary.ts";

/** The media type of {@link renderMetrics}. */
export const OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Sample = { labels?: Record<string, string>; value: number };

/**
 * The status as OpenMetrics text: gauges only, times in seconds since 1970. No tenant and no table is a label, so the
 * number of series does not grow with the customers.
 *
 * @example
 * new Response(renderMetrics(report, activity), { headers: { "content-type": OPENMETRICS } });
 */
export function renderMetrics(report: StatusReport, activity: Activity): string {
  const lines: string[] = [];
  const gauge = (name: string, help: string, samples: Sample[], unit = "") => {
    if (samples.length === 0) return;
    const full = `bulkhead_${name}${unit ? `_${unit}` : ""}`;
    lines.push(`# TYPE ${full} gauge`);
    if (unit) lines.push(`# UNIT ${full} ${unit}`);
    lines.push(`# HELP ${full} ${help}`);
    for (const { labels = {}, value } of samples) {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
      lines.push(`${full}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}`);
    }
  };
  const moment = (name: string, help: string, time: string | null | undefined) =>
    gauge(name, help, time ? [{ value: Date.parse(time) / 1000 }] : [], "timestamp_seconds");

  gauge("green", "1 when every check passes", [{ value: report.verdict === "green" ? 1 : 0 }]);
  gauge(
    "checks",
    "Checks by category and status",
    sections(report).flatMap(({ category, checks }) =>
      (["pass", "fail", "unknown"] as const).map((status) => ({
        labels: { category, status },
        value: checks.filter((check) => check.status === status).length,
      }))
    ),
  );
  gauge(
    "incidents_open",
    "Open incidents by severity",
    (["critical", "warning"] as const).map((severity) => ({
      labels: { severity },
      value:
        activity.incidents.filter((one) => one.severity === severity && one.resolved_at === null)
          .length,
    })),
  );
  gauge(
    "canary_last_run",
    "When each canary last ended",
    activity.canaries.filter((one) => one.last_run_at !== null).map((one) => ({
      labels: { canary: one.name },
      value: Date.parse(one.last_run_at ?? "") / 1000,
    })),
    "timestamp_seconds",
  );
  moment("checked", "When this was read", report.checked_at);
  moment("ledger_sealed", "When the ledger was last sealed", activity.ledger.sealed_at);
  moment("ledger_anchored", "When its head last left the database", activity.ledger.anchored_at);
  moment(
    "backup_oldest",
    "The newest backup of the tenant that has waited longest",
    activity.tenants[0]?.backed_up_at,
  );
  moment("backup_verified", "When a backup was last read back", activity.verified?.verified_at);
  const [drill] = activity.drills;
  moment("drill", "When the newest restore drill ended", drill?.finished_at);
  gauge("drill_passed", "1 when it passed", drill ? [{ value: drill.is_passed ? 1 : 0 }] : []);
  gauge(
    "drill_rto",
    "How long its restore took",
    drill ? [{ value: drill.rto_seconds }] : [],
    "seconds",
  );
  return `${lines.join("\n")}\n# EOF\n`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
