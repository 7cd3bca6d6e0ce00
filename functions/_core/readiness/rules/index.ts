import type { Rule } from "../rule.ts";
import { pinnedActions } from "./ci-01-pinned-actions.ts";
import { pinComments } from "./ci-02-pin-comments.ts";
import { workflowPermissions } from "./ci-05-workflow-permissions.ts";
import { untrustedCheckout } from "./ci-06-untrusted-checkout.ts";
import { scriptInjection } from "./ci-07-script-injection.ts";
import { persistedCredentials } from "./ci-08-persisted-credentials.ts";
import { securityPolicy } from "./ci-21-security-policy.ts";

/** Every rule, in the order of the report. */
export const RULES: readonly Rule[] = [
  pinnedActions,
  pinComments,
  workflowPermissions,
  untrustedCheckout,
  scriptInjection,
  persistedCredentials,
  securityPolicy,
];
