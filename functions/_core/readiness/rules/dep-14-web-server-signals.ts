import { child, word } from "../../lint/syntax.ts";
import { callsIn, originOf, scripts } from "../models/scripts.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A server of one's own that doesn't listen to SIGTERM is killed in the middle of its answers at each deploy. */
export const webServerSignals: Rule = {
  id: "DEP-14",
  name: "web-server-signals",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "A web server of one's own closes on SIGTERM and SIGINT",
  remedy:
    'process.on("SIGTERM", () => server.close(() => process.exit(0))), and the same for SIGINT',
  check(repository) {
    const all = scripts(repository);
    const evidence: Evidence[] = [];
    for (const module of all.mentioning(/\bfrom\s+["']next["']|require\(\s*["']next["']\s*\)/)) {
      const { path: file } = module;
      if (["test", "docs"].includes(repository.file(file)?.context ?? "")) continue;
      const calls = callsIn(module);
      const made = calls.find(({ node }) =>
        originOf(child(node, "callee"), module, all) === "next"
      );
      const listens = calls.find(({ callee }) => /(^|\.)listen$/.test(callee));
      if (!made || !listens) continue;
      const signals = new Set(
        calls.flatMap(({ callee, args: [first] }) =>
          /^process\.(on|once)$/.test(callee) && first?.type === "StringLiteral"
            ? [word(first, "value")]
            : []
        ),
      );
      // for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop)
      const isLoop = calls.some(({ callee, args: [first] }) =>
        /^process\.(on|once)$/.test(callee) && first?.type === "Identifier"
      );
      if (isLoop) {
        for (const [name] of module.text.matchAll(/SIGTERM|SIGINT/g)) signals.add(name);
      }
      const closes = calls.some(({ callee }) =>
        /(^|\.)close(AllConnections|IdleConnections)?$/.test(callee) ||
        /gracefulShutdown|terminus|httpTerminator|closeWithGrace/i.test(callee)
      );
      const missing = ["SIGTERM", "SIGINT"].filter((one) => !signals.has(one));
      const at = { file, line: listens.line };
      if (missing.length === 2) {
        evidence.push({ kind: "gap", ...at, message: "the server listens and no signal stops it" });
      } else if (!closes) {
        evidence.push({
          kind: "gap",
          ...at,
          message: "a signal is heard, and the listener is not closed",
        });
      } else if (missing.length === 1) {
        evidence.push({
          kind: "weakness",
          severity: "p2",
          ...at,
          message: `${missing[0]} is not heard`,
        });
      } else {evidence.push({
          kind: "strength",
          ...at,
          message: "SIGTERM and SIGINT close the listener",
        });}
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "there is no web server of one's own: next start listens to signals itself",
    });
  },
};
