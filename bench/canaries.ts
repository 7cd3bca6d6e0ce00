import process from "node:process";
import { canaryDeletes } from "./canary-deletes.ts";
import { canaryPass } from "./canary-pass.ts";
import type { Row } from "./measure.ts";

/** The pass of five minutes against the size of what it watches, and what abnormal_deletes sees and imagines. */
export async function canaries(): Promise<Row[]> {
  const only = process.env["ONLY"];
  return [
    ...(only === "deletes" ? [] : await canaryPass()),
    ...(only === "pass" ? [] : await canaryDeletes()),
  ];
}
