import process from "node:process";
import Table from "cli-table3";
import { backup } from "./backup.ts";
import { canaries } from "./canaries.ts";
import { guard } from "./guard.ts";
import { ledger } from "./ledger.ts";
import { load } from "./load.ts";
import { lint } from "./lint.ts";
import type { Row } from "./measure.ts";
import { readiness } from "./readiness.ts";
import { reads } from "./reads.ts";
import { status } from "./status.ts";
import { wrapper } from "./wrapper.ts";

const BENCHES: Record<string, () => Promise<Row[]>> = {
  audit: ledger,
  backup,
  canaries,
  lint,
  load,
  guard,
  readiness,
  reads,
  status,
  wrapper,
};

const asked = process.argv.slice(2).filter((argument) => argument !== "--full");
const unknown = asked.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(
    `Error: Cannot measure "${unknown.join(", ")}": no such benchmark\nTry: npm run bench -- ${
      Object.keys(BENCHES).join(" ")
    }`,
  );
  process.exit(2);
}
/** Two places, three where what is held is small: 0.050 is held to 0.05, and 0.054 is not. */
const digits = (ratio: number, atMost = 1) => ratio.toFixed(atMost < 0.1 ? 3 : 2);
const table = new Table({
  head: ["what", "ratio", "row trigger", "at most"],
  style: { head: [], border: [] },
});
for (const [name, bench] of Object.entries(BENCHES)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  process.stderr.write(`measuring ${name} …\n`);
  for (const { what, ratio, peer, atMost } of await bench()) {
    table.push([
      what,
      digits(ratio, atMost),
      peer === undefined ? "" : digits(peer, atMost),
      atMost === undefined ? "" : digits(atMost, atMost),
    ]);
  }
}
console.log(table.toString());
