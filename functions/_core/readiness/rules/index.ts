import type { Rule } from "../rule.ts";
import { securityPolicy } from "./ci-21-security-policy.ts";

/** Every rule, in the order of the report. */
export const RULES: readonly Rule[] = [
  securityPolicy,
];
