/** Prefixes with which a bundler copies a variable into the code that browsers and phones receive. */
const PUBLIC_PREFIX =
  /^(NEXT_PUBLIC_|VITE_|EXPO_PUBLIC_|PUBLIC_|REACT_APP_|NUXT_PUBLIC_|GATSBY_|VUE_APP_|NG_APP_)/;

/** Words that say: this is the key that everybody may have. */
const PUBLISHABLE = /ANON|PUBLISHABLE|PUBLIC_KEY$/;

/**
 * Whether an environment variable holds a service key, by its name alone, whoever reads it.
 *
 * @example
 * isServiceKeyName("SUPABASE_SERVICE_ROLE_KEY"); // true
 * isServiceKeyName("SUPABASE_ANON_KEY"); // false
 */
export function isServiceKeyName(name: string): boolean {
  if (!/^[A-Z][A-Z0-9_]*$/.test(name) || /(^|_)(URL|NAME|ID|HASH|PATH|FILE|ARN)$/.test(name)) {
    return false;
  }
  if (/SERVICE_?ROLE/.test(name)) return !/ACCOUNT/.test(name);
  if (PUBLISHABLE.test(name.replace(PUBLIC_PREFIX, ""))) return false;
  return /SUPABASE|(^|_)SB_/.test(name) && /SERVICE|SECRET|ADMIN/.test(name) &&
    /KEY|TOKEN|SECRETS?$/.test(name) &&
    !/JWT|WEBHOOK|ACCESS_TOKEN|HOOK|AUTH_SECRET|S3_|GOOGLE|GITHUB|STRIPE|TWILIO/.test(name);
}

/** Whether a variable with a public prefix gives the whole database away: a service key or a connection string. */
export function isPublicSecretName(name: string): boolean {
  return isPublicName(name) &&
    (isServiceKeyName(name) ||
      (/(DATABASE|POSTGRES(QL)?|DIRECT|DB)_UR[LI]$/.test(name) && !/FIREBASE|REALTIME/.test(name)));
}

/** The same where the variable is passed to Supabase as the key: there a shorter name is enough. */
export function isServiceKeyInPlace(name: string): boolean {
  return isServiceKeyName(name) ||
    (/SERVICE|SECRET|ADMIN|(^|_)ROLE(_|$)/.test(name) &&
      !PUBLISHABLE.test(name.replace(PUBLIC_PREFIX, "")));
}

/** A name in code (`serviceRoleKey`, `supabaseServiceKey`) whose value can't be followed, passed as the key. */
export function soundsLikeServiceKey(name: string): boolean {
  return /service_?-?role|service_?key|admin_?key|secret_?key/i.test(name) &&
    !/anon|public/i.test(name);
}

/** A name in code for a client that can't be followed: `supabaseAdmin`, `adminClient`, `serviceRoleClient`. */
export function soundsLikeServiceClient(name: string): boolean {
  return /^(supabase|sb)_?(admin|service(_?role)?)(_?client)?$/i.test(name) ||
    /^(admin|service(_?role)?)_?(supabase|sb)(_?client)?$/i.test(name) ||
    /^service_?role_?client$/i.test(name);
}

/** Whether a bundler copies the variable into client code. */
export function isPublicName(name: string): boolean {
  return PUBLIC_PREFIX.test(name);
}

/** What a tenant is called where nobody says otherwise. */
const STEMS = [
  ...["tenant", "org", "organization", "organisation", "team", "workspace", "account", "company"],
];

/** The tenant columns, and the words for tenants in camel case, of one project. */
export type TenantNames = { columns: ReadonlySet<string>; tenants: ReadonlySet<string> };

/**
 * The names of the tenant column in a project.
 *
 * @example
 * tenantNames(["org_id"]).columns.has("orgId"); // true
 */
export function tenantNames(columns: readonly string[] = [], table?: string): TenantNames {
  const all = columns.length > 0 ? columns : STEMS.map((stem) => `${stem}_id`);
  const stems = columns.length > 0 ? columns.map((one) => one.replace(/_?id$/i, "")) : STEMS;
  const plural = stems.flatMap((stem) => [`${stem}s`, stem.replace(/y$/, "ies")]);
  return {
    columns: new Set([
      ...all,
      ...all.map(camel),
      ...all.map((one) => one.replace(/_?id$/i, "_uuid")),
    ]),
    tenants: new Set(table ? [table.split(".").at(-1) ?? table, ...plural] : [...plural, ...stems]),
  };
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
