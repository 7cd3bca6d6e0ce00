import type { Rule } from "../rule.ts";
import { roots } from "./cfg-01-roots.ts";
import { typedSettings } from "./cfg-02-typed-settings.ts";
import { environmentDefault } from "./cfg-03-environment-default.ts";
import { debugInProduction } from "./cfg-04-debug-in-production.ts";
import { apiDocs } from "./cfg-05-api-docs.ts";
import { corsCredentials } from "./cfg-06-cors-credentials.ts";
import { standalone } from "./cfg-07-standalone.ts";
import { documentedVariables } from "./cfg-08-documented-variables.ts";
import { secretDefault } from "./sec-01-secret-default.ts";
import { emptySecret } from "./sec-02-empty-secret.ts";
import { secretType } from "./sec-03-secret-type.ts";
import { trackedSecrets } from "./sec-04-tracked-secrets.ts";
import { committedTokens } from "./sec-05-committed-tokens.ts";
import { placeholderGuard } from "./sec-06-placeholder-guard.ts";
import { composeSecrets } from "./sec-07-compose-secrets.ts";
import { imageSecrets } from "./sec-08-image-secrets.ts";
import { dockerignore } from "./sec-09-dockerignore.ts";
import { publicSecrets } from "./sec-10-public-secrets.ts";
import { clientSecrets } from "./sec-11-client-secrets.ts";
import { pinnedActions } from "./ci-01-pinned-actions.ts";
import { pinComments } from "./ci-02-pin-comments.ts";
import { pipedInstallers } from "./ci-03-piped-installers.ts";
import { unverifiedDownloads } from "./ci-04-unverified-downloads.ts";
import { workflowPermissions } from "./ci-05-workflow-permissions.ts";
import { untrustedCheckout } from "./ci-06-untrusted-checkout.ts";
import { scriptInjection } from "./ci-07-script-injection.ts";
import { persistedCredentials } from "./ci-08-persisted-credentials.ts";
import { scanners } from "./ci-09-scanners.ts";
import { scannerGates } from "./ci-10-scanner-gates.ts";
import { sbom } from "./ci-11-sbom.ts";
import { signedArtefacts } from "./ci-12-signed-artefacts.ts";
import { leakingSteps } from "./ci-13-leaking-steps.ts";
import { logDumps } from "./ci-14-log-dumps.ts";
import { updateBot } from "./ci-15-update-bot.ts";
import { testsOnPullRequests } from "./ci-16-tests-on-pull-requests.ts";
import { jobTimeouts } from "./ci-17-job-timeouts.ts";
import { deployProtection } from "./ci-18-deploy-protection.ts";
import { jsLockfiles } from "./ci-19-js-lockfiles.ts";
import { pythonLocks } from "./ci-20-python-locks.ts";
import { securityPolicy } from "./ci-21-security-policy.ts";
import { behindTheProxy } from "./app-01-behind-the-proxy.ts";
import { clientAddress } from "./app-02-client-address.ts";
import { proxyHeaders } from "./app-03-proxy-headers.ts";
import { loginRateLimit } from "./app-04-login-rate-limit.ts";
import { sharedLimiter } from "./app-05-shared-limiter.ts";
import { lockout } from "./app-06-lockout.ts";
import { bodyLimit } from "./app-07-body-limit.ts";
import { errorDetails } from "./app-08-error-details.ts";
import { securityHeaders } from "./app-09-security-headers.ts";
import { sqlText } from "./app-10-sql-text.ts";
import { timeouts } from "./app-11-timeouts.ts";
import { burstLimit } from "./app-12-burst-limit.ts";
import { serviceRole } from "./app-13-service-role.ts";
import { contentSecurityPolicy } from "./web-01-content-security-policy.ts";
import { strictPolicy } from "./web-02-strict-policy.ts";
import { webSecurityHeaders } from "./web-03-web-security-headers.ts";
import { storedTokens } from "./web-04-stored-tokens.ts";
import { cookieOptions } from "./web-05-cookie-options.ts";
import { sessionTokens } from "./web-06-session-tokens.ts";
import { serverChecks } from "./web-07-server-checks.ts";
import { authSwitches } from "./web-08-auth-switches.ts";
import { leanImage } from "./web-09-lean-image.ts";
import { rowSecurity } from "./db-01-row-security.ts";
import { forcedRowSecurity } from "./db-02-forced-row-security.ts";
import { openPolicies } from "./db-03-open-policies.ts";
import { tenantColumn } from "./db-04-tenant-column.ts";
import { requestContext } from "./db-05-request-context.ts";
import { clientTenant } from "./db-06-client-tenant.ts";
import { connectionPool } from "./db-07-connection-pool.ts";
import { statementTimeout } from "./db-08-statement-timeout.ts";
import { boundedLists } from "./db-09-bounded-lists.ts";
import { queryInLoop } from "./db-10-query-in-loop.ts";
import { migrationHeads } from "./db-11-migration-heads.ts";
import { downgrades } from "./db-12-downgrades.ts";
import { migrationsOnce } from "./db-13-migrations-once.ts";
import { destructiveMigrations } from "./db-14-destructive-migrations.ts";
import { retries } from "./job-01-retries.ts";
import { jobFailures } from "./job-02-job-failures.ts";
import { idempotentJobs } from "./job-03-idempotent-jobs.ts";
import { workerService } from "./job-04-worker-service.ts";
import { jsonLogs } from "./obs-01-json-logs.ts";
import { metrics } from "./obs-02-metrics.ts";
import { loggedSecrets } from "./obs-03-logged-secrets.ts";
import { sentryPii } from "./obs-04-sentry-pii.ts";
import { healthRoutes } from "./obs-05-health-routes.ts";
import { loggedPersonalData } from "./obs-06-logged-personal-data.ts";
import { nonRoot } from "./dep-01-non-root.ts";
import { pinnedImages } from "./dep-02-pinned-images.ts";
import { healthchecks } from "./dep-03-healthchecks.ts";
import { resourceLimits } from "./dep-04-resource-limits.ts";
import { restart } from "./dep-05-restart.ts";
import { publishedStores } from "./dep-06-published-stores.ts";
import { privileges } from "./dep-07-privileges.ts";
import { signals } from "./dep-08-signals.ts";
import { gracefulShutdown } from "./dep-09-graceful-shutdown.ts";
import { waitsForHealth } from "./dep-10-waits-for-health.ts";
import { hardening } from "./dep-11-hardening.ts";
import { sourceMounts } from "./dep-12-source-mounts.ts";
import { adminTools } from "./dep-13-admin-tools.ts";
import { webServerSignals } from "./dep-14-web-server-signals.ts";
import { backups } from "./dr-01-backups.ts";
import { backupQuality } from "./dr-02-backup-quality.ts";
import { restoreDrill } from "./dr-03-restore-drill.ts";
import { backupAlarm } from "./dr-04-backup-alarm.ts";
import { idempotentInit } from "./dr-05-idempotent-init.ts";
import { recoveryTargets } from "./dr-06-recovery-targets.ts";

/** Every rule, in the order of the report. */
export const RULES: readonly Rule[] = [
  roots,
  typedSettings,
  environmentDefault,
  debugInProduction,
  apiDocs,
  corsCredentials,
  standalone,
  documentedVariables,
  secretDefault,
  emptySecret,
  secretType,
  trackedSecrets,
  committedTokens,
  placeholderGuard,
  composeSecrets,
  imageSecrets,
  dockerignore,
  publicSecrets,
  clientSecrets,
  pinnedActions,
  pinComments,
  pipedInstallers,
  unverifiedDownloads,
  workflowPermissions,
  untrustedCheckout,
  scriptInjection,
  persistedCredentials,
  scanners,
  scannerGates,
  sbom,
  signedArtefacts,
  leakingSteps,
  logDumps,
  updateBot,
  testsOnPullRequests,
  jobTimeouts,
  deployProtection,
  jsLockfiles,
  pythonLocks,
  securityPolicy,
  behindTheProxy,
  clientAddress,
  proxyHeaders,
  loginRateLimit,
  sharedLimiter,
  lockout,
  bodyLimit,
  errorDetails,
  securityHeaders,
  sqlText,
  timeouts,
  burstLimit,
  serviceRole,
  contentSecurityPolicy,
  strictPolicy,
  webSecurityHeaders,
  storedTokens,
  cookieOptions,
  sessionTokens,
  serverChecks,
  authSwitches,
  leanImage,
  rowSecurity,
  forcedRowSecurity,
  openPolicies,
  tenantColumn,
  requestContext,
  clientTenant,
  connectionPool,
  statementTimeout,
  boundedLists,
  queryInLoop,
  migrationHeads,
  downgrades,
  migrationsOnce,
  destructiveMigrations,
  retries,
  jobFailures,
  idempotentJobs,
  workerService,
  jsonLogs,
  metrics,
  loggedSecrets,
  sentryPii,
  healthRoutes,
  loggedPersonalData,
  nonRoot,
  pinnedImages,
  healthchecks,
  resourceLimits,
  restart,
  publishedStores,
  privileges,
  signals,
  gracefulShutdown,
  waitsForHealth,
  hardening,
  sourceMounts,
  adminTools,
  webServerSignals,
  backups,
  backupQuality,
  restoreDrill,
  backupAlarm,
  idempotentInit,
  recoveryTargets,
];
