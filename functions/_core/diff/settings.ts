/** Settings of roles, databases and functions: which of them carry the boundary, and whose values may be written down. */

/** Names a tenant, a caller or claims; a value pinned here answers for every request. */
const CONTEXT = /^(bulkhead|request)\./i;
const TENANT =
  /\..*(tenant|\bteam|_team|\borg|_org|organi[sz]ation|workspace|\baccount|_account|user|member|role|claims)(_?(id|key))?$/i;
/** PostgREST's settings that hold no secret. */
const SERVED =
  /^pgrst\.(db_schemas?|db_anon_role|db_pre_request|db_extra_search_path|db_max_rows|db_aggregates_enabled|jwt_role_claim_key|openapi_mode)$/i;
/** Time, memory, plans: nobody sees a row more for them. */
const HARMLESS =
  /(_timeout|^work_mem|_mem|^jit.*|^enable_\w+|_cost|_cache_size|^max_parallel\w*|^geqo\w*|^log_\w+|^datestyle|^intervalstyle|^timezone|^lc_\w+|^statement_timeout|^pgaudit\.log.*|^auto_explain\..*|^pg_stat_statements\..*|^app\.settings\..*|^plan_cache_mode|^client_min_messages|^random_page_cost|^extra_float_digits|^bytea_output|^track_\w+|^pgrst\.db_(max_rows|aggregates_enabled)|^enable_nestloop)$/i;

export type SettingClass = "guard" | "context" | "served" | "path" | "harmless" | "unknown";

/**
 * What a setting can do to the boundary.
 *
 * @example
 * settingClass("session_replication_role"); // "guard"
 */
export function settingClass(name: string): SettingClass {
  if (
    /^(session_replication_role|row_security|role|session_authorization|lo_compat_privileges)$/i
      .test(name)
  ) {
    return "guard";
  }
  if (CONTEXT.test(name)) return "context";
  if (HARMLESS.test(name)) return "harmless";
  if (SERVED.test(name)) return "served";
  if (name.includes(".") && TENANT.test(name)) return "context";
  if (/^search_path$/i.test(name)) return "path";
  return "unknown";
}

/** Custom settings may hold secrets (`app.settings.jwt_secret`): only those of the boundary are written down. */
export function publicValue(name: string, value: string): string {
  const shown = !name.includes(".") || CONTEXT.test(name) || SERVED.test(name) ||
    (TENANT.test(name) && !/secret|password|token|key$/i.test(name));
  return shown ? value : "(not recorded)";
}

/** Whether this value weakens the boundary by itself. */
export function weakens(name: string, value: string): boolean {
  const flat = value.trim().toLowerCase().replace(/^["']|["']$/g, "");
  switch (settingClass(name)) {
    case "guard":
      if (/^session_replication_role$/i.test(name)) return flat !== "origin";
      if (/^row_security$/i.test(name)) return flat === "off" || flat === "false" || flat === "0";
      if (/^lo_compat_privileges$/i.test(name)) return flat !== "off";
      return flat !== "none" && flat !== "";
    case "context":
      return flat !== "";
    case "served":
      return /^pgrst\.db_schemas?$/i.test(name)
        ? /(^|[ ,"])bulkhead([ ,"]|$)/.test(flat)
        : /^pgrst\.(db_anon_role|jwt_role_claim_key)$/i.test(name) && flat !== "anon";
    default:
      return false;
  }
}
