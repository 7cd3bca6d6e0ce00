/** One style sheet for screen (light and dark), phone and paper; nothing is fetched. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8; --text: #17202b; --soft: #56616f;
  --pass: #17703c; --fail: #b3261e; --unknown: #855800; --pass-bg: #e7f4ec; --fail-bg: #fbeae9; --unknown-bg: #fdf3dc;
  --code: #f1f3f6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1319; --card: #161d26; --line: #2a3441; --text: #e6ebf1; --soft: #9ba8b7;
    --pass: #62cf91; --fail: #ff8f86; --unknown: #f2c057; --pass-bg: #12291c; --fail-bg: #341a1a; --unknown-bg: #30260f;
    --code: #0e141b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
a { color: inherit; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .85em; }
.brand { display: flex; align-items: center; gap: .6rem; font-weight: 650; letter-spacing: .01em; margin: 0 0 1.25rem; }
.brand svg { display: block; }
.hero { border-radius: 14px; padding: 1.6rem 1.75rem; border: 1px solid var(--line); border-left: 8px solid currentColor; background: var(--card); }
.hero h1 { margin: 0; font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; }
.hero p { margin: .35rem 0 0; color: var(--text); }
.hero .meta { color: var(--soft); font-size: .9rem; margin-top: .9rem; }
.green { color: var(--pass); } .red { color: var(--fail); } .unknown { color: var(--unknown); }
.hero.green { background: var(--pass-bg); } .hero.red { background: var(--fail-bg); } .hero.unknown { background: var(--unknown-bg); }
.tiles { list-style: none; margin: 1rem 0 0; padding: 0; display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(7.2rem, 1fr)); }
.tiles li { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .8rem .95rem; }
.tiles .name { display: block; font-size: .85rem; color: var(--soft); text-transform: capitalize; }
.tiles .score { display: block; font-size: 1.3rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.tiles .word { font-size: .85rem; font-weight: 600; }
section { margin-top: 2.4rem; }
h2 { font-size: 1.2rem; margin: 0 0 .75rem; text-transform: capitalize; display: flex; align-items: baseline; gap: .6rem; }
h2 small { font-weight: 500; font-size: .85rem; color: var(--soft); text-transform: none; }
.finding { background: var(--card); border: 1px solid var(--line); border-left: 5px solid currentColor; border-radius: 10px; padding: 1rem 1.15rem; margin: 0 0 .75rem; }
.finding > * { color: var(--text); }
.finding h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
.finding p { margin: .35rem 0 0; overflow-wrap: anywhere; }
.finding .what { color: var(--soft); font-size: .85rem; }
.chip { display: inline-block; border-radius: 99px; padding: .05rem .6rem; font-size: .75rem; font-weight: 650; margin-right: .35rem; }
.chip.fail { color: var(--fail); background: var(--fail-bg); } .chip.unknown { color: var(--unknown); background: var(--unknown-bg); }
.finding h4 + p { margin-top: 0; }
.finding h4 { margin: .8rem 0 .25rem; font-size: .8rem; color: var(--soft); font-weight: 600; }
pre { margin: 0; padding: .7rem .85rem; border-radius: 8px; background: var(--code); white-space: pre-wrap; overflow-wrap: anywhere; }
.passed { list-style: none; margin: 0; padding: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.passed li { display: flex; gap: .7rem; padding: .38rem 1rem; border-top: 1px solid var(--line); }
.passed li:first-child { border-top: 0; }
.passed .mark { color: var(--pass); font-weight: 700; flex: none; }
.passed .note { margin-left: auto; color: var(--soft); font-size: .85rem; text-align: right; }
.rows { list-style: none; margin: .75rem 0 0; padding: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.rows li { display: flex; gap: .7rem; align-items: center; padding: .45rem 1rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.rows li:first-child { border-top: 0; }
.rows .note { margin-left: auto; color: var(--soft); font-size: .85rem; text-align: right; flex: none; max-width: 45%; }
.charts .what { flex: 0 0 16rem; font-size: .9rem; }
.chip.over { color: var(--soft); background: var(--code); }
.history { flex: 1 1 auto; min-width: 6rem; height: 1.25rem; }
.history .pass, .timeline .over { fill: var(--pass); } .history .fail, .timeline .critical { fill: var(--fail); }
.history .unknown, .timeline .warning { fill: var(--unknown); } .timeline .over { fill: var(--soft); }
.timeline { display: block; width: 100%; }
.span { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem; margin: .2rem 0 0; } .history .floor { fill: var(--line); }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .45rem 1rem; border-top: 1px solid var(--line); font-weight: 400; white-space: nowrap; }
thead th { border-top: 0; font-size: .85rem; color: var(--soft); }
dl { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@media (max-width: 34rem) { .rows li { flex-wrap: wrap; } .rows .note { margin-left: 0; text-align: left; max-width: none; flex-basis: 100%; } .charts .what { flex-basis: 100%; } .passed li { flex-wrap: wrap; } .passed .note { margin-left: 1.6rem; text-align: left; flex-basis: 100%; } .hero h1 { font-size: 1.6rem; } }
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --line: #bbb; --text: #000; --soft: #444; --code: #f4f4f4;
    --pass: #0b5a2c; --fail: #99150e; --unknown: #6b4600; --pass-bg: #fff; --fail-bg: #fff; --unknown-bg: #fff; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  .finding, .tiles li, .passed li, .rows li, tr { break-inside: avoid; } h2 { break-after: avoid; } .table { overflow: visible; } rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;

/** The sign of the product, in the colour of the text. */
export const EMBLEM =
  `<svg width="26" height="22" viewBox="0 0 26 22" aria-hidden="true" focusable="false">` +
  `<rect x="1.5" y="1.5" width="23" height="19" rx="4" fill="none" stroke="currentColor" stroke-width="2"/>` +
  `<path d="M9.2 2v18M16.8 2v18" stroke="currentColor" stroke-width="2"/>` +
  `<rect x="11.4" y="12" width="3.2" height="6" rx="1" fill="currentColor"/></svg>`;
