import { counted } from "../../counted.ts";
import { escapeHtml as text, timeHtml } from "../../status/escape.ts";
import { htmlPage } from "../../status/html-page.ts";
import type { Answer, AreaScore, Report, ReportEvidence, ReportRule } from "./contract.ts";
import {
  ANSWER,
  AREA_TITLES,
  coverageText,
  GAP_TITLES,
  ignoredEvidence,
  openRules,
  placeText,
  rulingEvidence,
  scoreText,
  USES,
} from "./words.ts";

const COLOUR: Record<Answer["answer"], string> = {
  go: "green",
  "no-go": "red",
  unproven: "unknown",
};
const CHIP = { fail: "Fail", warn: "Warn", unknown: "Unknown" } as const;

const OWN_STYLE = `
.hero.answers { border: 1px solid var(--line); color: var(--text); }
.tiles { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.tiles .what { color: var(--soft); font-size: .85rem; }
.answers dl { margin-top: 1.1rem; grid-template-columns: max-content max-content 1fr; align-items: baseline; }
.answers dt { color: var(--text); } .answers strong { letter-spacing: .02em; }
.answers .why { color: var(--soft); font-size: .9rem; }
.places { margin: .5rem 0 0; padding-left: 1.1rem; } .places li { margin: .15rem 0; overflow-wrap: anywhere; }
.chip.warn { color: var(--unknown); background: var(--unknown-bg); } .chip.weight { color: var(--soft); background: var(--code); }
.meter { display: block; height: .4rem; border-radius: 99px; background: var(--line); margin-top: .5rem; overflow: hidden; }
.meter rect { fill: currentColor; }
.tiles .word { display: block; } .tiles li { display: flex; flex-direction: column; }
.tiles .meter { margin-top: auto; width: 100%; }
h3.phase { font-size: 1rem; margin: 1.2rem 0 .4rem; }
h2 { text-transform: none; }
td.wide { white-space: normal; overflow-wrap: anywhere; }
details > summary { cursor: pointer; color: var(--soft); margin-bottom: .6rem; }
@media (max-width: 34rem) { .answers dl { grid-template-columns: 1fr max-content; } .answers .why { grid-column: 1 / -1; margin-bottom: .5rem; } }
@media print { details > summary { display: none; } }
`;

/**
 * The report as one page. The list of files is folded on a screen and left out on paper, where it would be most of the
 * pages.
 *
 * @example
 * await writeFile("readiness.html", renderHtml(report));
 */
export function renderHtml(report: Report): string {
  const body = [
    hero(report),
    areas(report),
    ...(["p0", "p1", "p2"] as const).flatMap((severity) => {
      const open = openRules(report, severity);
      return open.length === 0 ? [] : [section(GAP_TITLES[severity], open.map(finding))];
    }),
    since(report),
    undecided(report),
    ignored(report),
    strengths(report),
    risks(report),
    roadmap(report),
    notApplicable(report),
    files(report),
  ].filter((part) => part !== "");
  return htmlPage({
    title: `Readiness of ${text(report.repository)} · Bulkhead`,
    style: OWN_STYLE,
    body: body.join("\n"),
    footer:
      "A rule passes on evidence alone: what was not found, or could not be read, is unknown. A score hides more than it shows; read the rules.",
  });
}

function hero(report: Report): string {
  const rows = USES.map(([use, title]) => {
    const { answer, because, decided_by } = report.verdict[use];
    const why = decided_by.length === 0 ? because : `${because}: ${decided_by.join(", ")}`;
    return `<dt>${title}</dt><dd class="${COLOUR[answer]}"><strong>${
      ANSWER[answer]
    }</strong></dd>` +
      `<dd class="why">${text(why)}</dd>`;
  });
  return [
    `<header class="hero answers">`,
    `<h1>${text(report.repository)}: ${report.maturity}</h1>`,
    `<dl>${rows.join("\n")}</dl>`,
    `<p class="meta">${counted(report.files.length, "file")}, ${
      counted(report.rules.length, "rule")
    }, bulkhead ${text(report.tool_version)}, ${timeHtml(report.generated_at)}</p>`,
    `</header>`,
  ].join("\n");
}

function areas({ areas }: Report): string {
  return `<ul class="tiles" aria-label="Areas">\n${areas.map(tile).join("\n")}\n</ul>`;
}

function tile(area: AreaScore): string {
  const { score, is_sufficient } = area;
  const colour = score === null || !is_sufficient
    ? "unknown"
    : score >= 80
    ? "green"
    : score >= 60
    ? "unknown"
    : "red";
  const shown = score === null || !is_sufficient ? "–" : String(score);
  const note = is_sufficient ? `${coverageText(area)} evaluated` : scoreText(area);
  return `<li><span class="name">${
    AREA_TITLES[area.area]
  }</span><span class="score ${colour}">${shown}</span>` +
    `<span class="what">${text(note)}</span>` +
    `<svg class="meter ${colour}" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">` +
    `<rect width="${is_sufficient ? score ?? 0 : 0}" height="4"/></svg></li>`;
}

function section(title: string, parts: readonly string[]): string {
  const id = title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return [
    `<section aria-labelledby="${id}">`,
    `<h2 id="${id}">${text(title)}</h2>`,
    ...parts,
    `</section>`,
  ].join("\n");
}

function finding(rule: ReportRule): string {
  const status = rule.status === "warn" ? "warn" : "fail";
  const many = rulingEvidence(rule);
  return [
    `<article class="finding ${status === "fail" ? "red" : "unknown"}">`,
    `<h3><span class="chip ${status}">${CHIP[status]}</span><code>${rule.id}</code> ${
      text(rule.title)
    }</h3>`,
    `<p class="what">${AREA_TITLES[rule.area]} · ${rule.name} · ${rule.confidence} confidence</p>`,
    places(many),
    `<h4>How to fix</h4><p>${text(rule.remedy)}</p>`,
    `</article>`,
  ].join("\n");
}

function places(evidence: readonly ReportEvidence[]): string {
  const rows = evidence.map((one) =>
    `<li><code>${text(placeText(one))}</code> ${text(one.message)}</li>`
  );
  return rows.length === 0 ? "" : `<ul class="places">${rows.join("\n")}</ul>`;
}

function since({ since }: Report): string {
  if (since === null) return "";
  const rows = since.fixed.map((one) =>
    `<li><span class="mark" aria-hidden="true">✓</span><span>${one.rule} <code>${
      text(one.file)
    }</code> ${text(one.message)}</span></li>`
  );
  return section(`Since ${since.generated_at.slice(0, 10)}`, [
    `<p>${since.fixed.length} fixed, ${since.fresh.length} new, ${since.unchanged} unchanged.</p>`,
    rows.length === 0 ? "" : `<ul class="passed">${rows.join("\n")}</ul>`,
  ]);
}

function undecided({ rules }: Report): string {
  const open = rules.filter(({ status }) => status === "unknown");
  if (open.length === 0) return "";
  return section("Undecided", [
    `<ul class="rows">`,
    ...open.map((rule) =>
      `<li><span><span class="chip unknown">Unknown</span><code>${rule.id}</code> ${
        text(rule.title)
      }</span><span class="note">${text(rule.summary)}</span></li>`
    ),
    `</ul>`,
  ]);
}

function ignored(report: Report): string {
  const all = ignoredEvidence(report);
  if (all.length + report.notices.length === 0) return "";
  return section("Ignored", [
    `<ul class="rows">`,
    ...all.map(({ rule, evidence }) =>
      `<li><span><code>${rule.id}</code> <code>${text(placeText(evidence))}</code></span>` +
      `<span class="note">until ${text(evidence.ignored?.until ?? "")}: ${
        text(evidence.ignored?.reason ?? "")
      }</span></li>`
    ),
    ...report.notices.map((notice) =>
      `<li><code>${text(placeText(notice))}</code><span class="note">${
        text(notice.message)
      }</span></li>`
    ),
    `</ul>`,
  ]);
}

function strengths({ rules }: Report): string {
  const passed = rules.filter(({ status }) => status === "pass");
  if (passed.length === 0) return section("Verified strengths", ["<p>None could be verified.</p>"]);
  return section("Verified strengths", [
    `<ul class="passed">`,
    ...passed.map((rule) => {
      const [first, ...rest] = rulingEvidence(rule);
      const more = rest.length > 0 ? ` and ${rest.length} more` : "";
      const note = first ? `<code>${text(placeText(first))}</code>${more}` : "";
      return `<li><span class="mark" aria-hidden="true">✓</span><span><code>${rule.id}</code> ${
        text(rule.title)
      }</span><span class="note">${note}</span></li>`;
    }),
    `</ul>`,
  ]);
}

function risks({ risks }: Report): string {
  return section("Risks", [
    `<div class="table"><table><thead><tr><th scope="col">Risk</th><th scope="col">Open rules</th></tr></thead><tbody>`,
    ...risks.map(({ risk, rules }) =>
      `<tr><th scope="row">${risk}</th><td class="wide">${rules.join(", ") || "none"}</td></tr>`
    ),
    `</tbody></table></div>`,
  ]);
}

function roadmap({ roadmap, rules }: Report): string {
  return section(
    "Roadmap",
    roadmap.flatMap(({ phase, rules: ids }) => [
      `<h3 class="phase">${phase}</h3>`,
      ids.length === 0
        ? "<p>Nothing to do.</p>"
        : `<ul class="places">${
          ids.map((id) =>
            `<li><code>${id}</code> ${text(rules.find((one) => one.id === id)?.remedy ?? "")}</li>`
          ).join("\n")
        }</ul>`,
    ]),
  );
}

function notApplicable({ rules }: Report): string {
  const all = rules.filter(({ status }) => status === "not-applicable");
  if (all.length === 0) return "";
  return section("Not applicable", [
    `<ul class="places">`,
    ...all.map((rule) =>
      `<li><code>${rule.id}</code> ${text(rule.title)}: ${text(rule.summary)}</li>`
    ),
    `</ul>`,
  ]);
}

function files({ files, unread }: Report): string {
  const reasons = new Map(unread.map(({ file, reason }) => [file, reason]));
  return section("Files", [
    `<details><summary>${
      counted(files.length, "file")
    }, what each is for, and what could not be read</summary>`,
    `<div class="table" tabindex="0" role="region" aria-label="Every file"><table><thead><tr><th scope="col">File</th>` +
    `<th scope="col">Context</th><th scope="col">Not read because</th></tr></thead><tbody>`,
    ...files.map(({ path, context, unread: reason }) =>
      `<tr><td class="wide"><code>${text(path)}</code></td><td>${context}</td><td class="wide">${
        text(reason ?? reasons.get(path) ?? "")
      }</td></tr>`
    ),
    `</tbody></table></div></details>`,
  ]);
}
