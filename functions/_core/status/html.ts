import type { Activity } from "./activity.ts";
import { activityHtml } from "./activity-html.ts";
import type { Check, PublicStatus, StatusReport, Verdict } from "./contract.ts";
import { ageOf, escapeHtml, timeHtml } from "./escape.ts";
import { htmlPage } from "./html-page.ts";
import { passTitle, publicSummary, type Section, sections } from "./summary.ts";

const HEADLINE: Record<Verdict, string> = { green: "Green", red: "Red", unknown: "Unknown" };

/**
 * The report as one page without any external resource or script: opened from disk, mailed or printed it looks the same.
 * With `activity` it also says since when, and what happened lately.
 *
 * @example
 * await writeFile("status.html", renderHtml(report));
 */
export function renderHtml(report: StatusReport, activity?: Activity): string {
  const where =
    `Database <code>${escapeHtml(report.database)}</code>, Postgres ${
      escapeHtml(report.server_version)
    }` +
    `${report.category ? `, category ${escapeHtml(report.category)} only` : ""}, checked at ${
      timeHtml(report.checked_at)
    }`;
  const since = new Map(
    activity?.incidents.filter((one) => one.resolved_at === null)
      .map((one) => [one.fingerprint, ageOf(one.opened_at, report.checked_at)]),
  );
  const body = sections(report).map((section) => sectionHtml(section, since));
  if (activity) body.push(activityHtml(activity, report.checked_at));
  return page(publicSummary(report), where, body.join("\n"));
}

/**
 * The page for readers without a secret: verdict and counts, no table, no tenant.
 *
 * @example
 * return new Response(renderPublicHtml(publicSummary(report)), { headers: { "content-type": "text/html" } });
 */
export function renderPublicHtml(summary: PublicStatus): string {
  return page(
    summary,
    `Checked at ${timeHtml(summary.checked_at)}`,
    `<section><h2>Details</h2><p>Findings are shown with signed access only.</p></section>`,
  );
}

function page(summary: PublicStatus, meta: string, body: string): string {
  const { verdict, counts } = summary;
  return htmlPage({
    title: `${HEADLINE[verdict]} · Bulkhead status`,
    body: `<header class="hero ${verdict}">
<h1>${HEADLINE[verdict]}</h1>
<p>${sentence(summary)}</p>
<p class="meta">${meta}</p>
</header>
<ul class="tiles" aria-label="Categories">
${summary.categories.map(tile).join("\n")}
</ul>
${body}`,
    footer:
      `${counts.pass} pass, ${counts.fail} fail, ${counts.unknown} unknown. A check that could not be evaluated is unknown, never green.`,
  });
}

function sentence({ verdict, counts }: PublicStatus): string {
  if (verdict === "green") return `All ${counts.pass} checks pass.`;
  const open = [
    counts.fail > 0 ? `${counts.fail} ${counts.fail === 1 ? "check fails" : "checks fail"}` : "",
    counts.unknown > 0 ? `${counts.unknown} could not be evaluated` : "",
  ].filter(Boolean).join(", ");
  return open === "" ? "Nothing was checked." : `${open}, ${counts.pass} pass.`;
}

function tile(
  { category, verdict, pass, fail, unknown }: PublicStatus["categories"][number],
): string {
  const total = pass + fail + unknown;
  return `<li><span class="name">${
    escapeHtml(category)
  }</span><span class="score">${pass}/${total}</span>` +
    `<span class="word ${verdict}">${HEADLINE[verdict]}</span></li>`;
}

function sectionHtml({ category, checks }: Section, since: ReadonlyMap<string, string>): string {
  const open = checks.filter((check) => check.status !== "pass");
  const passed = checks.filter((check) => check.status === "pass");
  const id = `category-${category.replace(/[^a-z0-9]/gi, "-")}`;
  const parts = [
    `<section aria-labelledby="${id}">`,
    `<h2 id="${id}">${
      escapeHtml(category)
    } <small>${passed.length} of ${checks.length} pass</small></h2>`,
    ...open.map((check) => finding(check, since.get(check.fingerprint))),
  ];
  if (passed.length > 0) parts.push(`<ul class="passed">`, ...passed.map(passedItem), "</ul>");
  return [...parts, "</section>"].join("\n");
}

function finding(check: Check, age: string | undefined): string {
  const word = check.status === "fail" ? "Fail" : "Unknown";
  const colour = check.status === "fail" ? "red" : "unknown";
  return [
    `<article class="finding ${colour}">`,
    `<h3><span class="chip ${check.status}">${word}</span>${escapeHtml(check.title)}: <code>${
      escapeHtml(check.subject)
    }</code></h3>`,
    `<p class="what">${check.severity} · <code>${check.name}</code>${
      age ? ` · for ${age}` : ""
    }</p>`,
    check.detail ? `<p>${escapeHtml(check.detail)}</p>` : "",
    check.sample_ids?.length
      ? `<p class="what">Samples: ${
        check.sample_ids.map((id) => `<code>${escapeHtml(id)}</code>`).join(", ")
      }</p>`
      : "",
    check.remediation ? `<h4>How to resolve</h4>${remedy(check.remediation)}` : "",
    check.reproduce_sql ? `<h4>See it again</h4><pre>${escapeHtml(check.reproduce_sql)}</pre>` : "",
    `</article>`,
  ].filter(Boolean).join("\n");
}

/** Statements as code, sentences as text. */
function remedy(text: string): string {
  if (/;\s*$/.test(text)) return `<pre>${escapeHtml(text)}</pre>`;
  return text.split("\n").map((line) => `<p>${escapeHtml(line)}</p>`).join("");
}

function passedItem(check: Check): string {
  const note = check.detail ? `<span class="note">${escapeHtml(check.detail)}</span>` : "";
  return `<li><span class="mark" aria-hidden="true">✓</span><span><span class="hidden">Pass: </span>` +
    `${escapeHtml(passTitle(check))}</span>${note}</li>`;
}
