/** What a function of a package makes, where the linter knows it. */
export type Known =
  | { makes: "client"; key: "second" | "options"; user?: boolean }
  | { makes: "service-client" }
  | { makes: "pool"; library: string; of?: "first" }
  | { makes: "wrapper" }
  | { makes: "nothing" };

/**
 * The package that a specifier means, without registry, version and address.
 *
 * @example
 * packageOf("npm:@supabase/supabase-js@2.39.0"); // "@supabase/supabase-js"
 * packageOf("https://esm.sh/@supabase/supabase-js@2"); // "@supabase/supabase-js"
 */
export function packageOf(specifier: string): string {
  let name = specifier.replace(/^(npm|jsr|node):\/?/, "");
  const hosted =
    /^https?:\/\/(?:(?:esm\.sh|cdn\.skypack\.dev|esm\.run|ga\.jspm\.io|jspm\.dev|unpkg\.com|cdn\.esm\.sh)\/(?:v\d+\/|stable\/|npm:|pin\/)*|cdn\.jsdelivr\.net\/npm\/|deno\.land\/x\/)(.+)$/
      .exec(name);
  if (hosted?.[1]) name = hosted[1];
  name = name.replace(/(?<=.)[?#].*$/, "");
  const [, scoped = ""] = /^(@[^/@]+\/[^/@]+|[^/@]+)/.exec(name) ?? [];
  const rest = name.slice(scoped.length).replace(/^@[^/]+/, "");
  if (scoped === "drizzle-orm") return `drizzle-orm${rest}`;
  return scoped;
}

const SUPABASE = new Set([
  "@supabase/supabase-js",
  "@supabase-js",
  "supabase",
  "@supabase/supabase",
]);
const HELPERS = new Set([
  ...["@supabase/ssr", "@supabase/auth-helpers-nextjs", "@supabase/auth-helpers-remix"],
  ...[
    "@supabase/auth-helpers-sveltekit",
    "@supabase/auth-helpers-shared",
    "@supabase/auth-helpers-react",
  ],
]);
const DRIZZLE = new Set([
  ...["drizzle-orm/postgres-js", "drizzle-orm/node-postgres", "drizzle-orm/neon-http"],
  ...["drizzle-orm/neon-serverless", "drizzle-orm/vercel-postgres"],
]);

/** What the export `name` of a package does, null when nothing is known. */
export function known(specifier: string, name: string): Known | null {
  const from = packageOf(specifier);
  if (SUPABASE.has(from)) {
    return name === "createClient" || name === "SupabaseClient"
      ? { makes: "client", key: "second" }
      : null;
  }
  if (HELPERS.has(from)) {
    if (/^create(Server|Browser|Client|Pages|Route|Middleware|Isomorphic)\w*$/.test(name)) {
      return { makes: "client", key: from === "@supabase/ssr" ? "second" : "options" };
    }
    return null;
  }
  if (from === "#supabase") {
    return name === "serverSupabaseServiceRole" ? { makes: "service-client" } : null;
  }
  if (from === "@supabase/server" && /^create(Admin|Service)\w*Client$/.test(name)) {
    return { makes: "service-client" };
  }
  if (from === "postgres" || from === "postgresjs" || from === "@db/postgres") {
    return ["default", "Pool", "Client", "postgres"].includes(name)
      ? { makes: "pool", library: "postgres" }
      : null;
  }
  if (
    from === "pg" || from === "pg-pool" || from === "@neondatabase/serverless" ||
    from === "@vercel/postgres"
  ) {
    const factories = from === "pg-pool"
      ? ["default"]
      : ["Pool", "Client", "neon", "createPool", "createClient"];
    return factories.includes(name) ? { makes: "pool", library: from } : null;
  }
  if (DRIZZLE.has(from) && name === "drizzle") {
    return { makes: "pool", library: "drizzle", of: "first" };
  }
  return null;
}

/** Bulkhead's own names, wherever they are imported from: what is inside them is its business. */
export const WRAPPERS = new Set([
  "createTenantClient",
  "TenantScopedClient",
  "withTenant",
  "asPlatform",
]);
