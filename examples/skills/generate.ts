import { readFileSync } from "node:fs";
import type postgres from "postgres";
import { openDatabase } from "../../scripts/cli/database.ts";
import { isMain, runCli } from "../../scripts/cli/run.ts";
import { Command } from "commander";

/** Tenants whose ids begin like one another, and one whose id is anything but tame. */
export const TENANTS: readonly string[] = ["1", "12", "acme", "acme-eu", "o'hare/../12 %_\\"];

/**
 * Fill the marketplace as of 0004: for each tenant five users, `skills` skills with their versions, embeddings, ratings,
 * reviews and keys, and `events` uses, then the rows of wrong-rows.sql. The same numbers give the same rows.
 *
 * @example
 * await generateSkills(postgres(url), { skills: 20, events: 500 });
 */
export async function generateSkills(
  sql: postgres.Sql,
  options: { skills?: number; events?: number } = {},
): Promise<void> {
  const { skills = 8, events = 200 } = options;
  await sql.begin(async (tx) => {
    await tx`insert into public.tenants (id, name) select id, 'Tenant ' || id from unnest(${[
      ...TENANTS,
    ]}::text[]) as id`;
    await tx`
      insert into public.users (id, tenant_id, email, name, role, created_at)
      select 'u-' || t.id || '-' || n, t.id, 'u' || n || '.' || md5(t.id) || '@skills.example', 'User ' || n,
             case n when 1 then 'admin' else 'member' end, timestamptz '2025-09-01 09:00Z' + n * interval '1 hour'
      from public.tenants as t, generate_series(1, 5) as n`;
    await tx`
      insert into public.skills (id, tenant_id, author_id, slug, title, status, price_cents, created_at)
      select 's-' || t.id || '-' || n, t.id, 'u-' || t.id || '-' || 1 + n % 5, 'skill-' || md5(t.id || n), 'Skill ' || n,
             (array['published', 'published', 'draft', 'retired'])[1 + n % 4], n * 100, timestamptz '2025-10-01 09:00Z' + n * interval '1 hour'
      from public.tenants as t, generate_series(1, ${skills}::integer) as n`;
    await tx`
      insert into public.skill_versions (id, skill_id, version, body)
      select 'v-' || s.id || '-' || v, s.id, v, 'Body ' || v || ' of ' || s.id
      from public.skills as s, generate_series(1, 2) as v`;
    await tx`
      insert into public.skill_embeddings (id, skill_id, model, embedding)
      select 'e-' || s.id, s.id, 'small-1', array[length(s.id) / 100.0, price_cents / 1000.0, -0.5]::real[] from public.skills as s`;
    await tx`
      insert into public.ratings (id, tenant_id, skill_id, user_id, score)
      select 'r-' || s.id || '-' || u.id, s.tenant_id, s.id, u.id, 1 + abs(hashtext(s.id || u.id)) % 5
      from public.skills as s join public.users as u on u.tenant_id = s.tenant_id`;
    await tx`
      insert into public.skill_reviews (id, tenant_id, skill_id, reviewer_id, verdict)
      select 'w-' || s.id, s.tenant_id, s.id, 'u-' || s.tenant_id || '-1', 'approved'
      from public.skills as s where s.status = 'published'`;
    await tx`
      insert into public.api_keys (id, tenant_id, user_id, name, key_hash)
      select 'k-' || u.id, u.tenant_id, u.id, 'Key of ' || u.name, md5(u.id) from public.users as u`;
    await tx`
      insert into public.usage_events (tenant_id, skill_id, user_id, tokens, occurred_at)
      select t.id, 's-' || t.id || '-' || 1 + n % ${skills}::integer, 'u-' || t.id || '-' || 1 + n % 5, n % 900,
             timestamptz '2025-11-01 09:00Z' + n * interval '1 minute'
      from public.tenants as t, generate_series(1, ${events}::integer) as n`;
    await tx.unsafe(readFileSync(new URL("wrong-rows.sql", import.meta.url), "utf8")).simple();
  });
}

/** `node --import tsx examples/skills/generate.ts`: fill the database that an env variable names. */
export function command(): Command {
  return new Command("generate")
    .description(
      "Fill a skills marketplace, as of migration 0004, with tenants, skills and wrong rows.",
    )
    .option("--database-env <name>", "variable with the connection string", "DATABASE_URL")
    .action(async ({ databaseEnv }: { databaseEnv: string }) => {
      const sql = await openDatabase(databaseEnv);
      try {
        await generateSkills(sql);
      } finally {
        await sql.end({ timeout: 5 });
      }
    });
}

if (isMain(import.meta.url)) await runCli(command());
