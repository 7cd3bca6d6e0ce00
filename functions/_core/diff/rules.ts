import type { Rule } from "./rule.ts";
import { CODE_RULES } from "./rules-code.ts";
import { KEY_RULES } from "./rules-keys.ts";
import { KIT_RULES } from "./rules-kit.ts";
import { OBJECT_RULES } from "./rules-objects.ts";
import { POLICY_RULES } from "./rules-policies.ts";
import { RIGHT_RULES } from "./rules-rights.ts";
import { TABLE_RULES } from "./rules-tables.ts";

/** Every rule. The gravest answer counts; a change that no rule knows is one to review. */
export const RULES: readonly Rule[] = [
  ...TABLE_RULES,
  ...POLICY_RULES,
  ...KEY_RULES,
  ...RIGHT_RULES,
  ...CODE_RULES,
  ...OBJECT_RULES,
  ...KIT_RULES,
];
