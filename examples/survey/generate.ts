import { readFileSync } from "node:fs";
import { Command } from "commander";
import type postgres from "postgres";
import { openDatabase } from "../../scripts/cli/database.ts";
import { isMain, runCli } from "../../scripts/cli/run.ts";

/**
 * Fill the survey platform before hardening: organizations 1 to `orgs` (1 and 12, 2 and 20 begin alike), each with two
 * surveys, `sessions` sessions and everything that was said in them, then the rows of wrong-rows.sql. The same numbers
 * give the same rows.
 *
 * @example
 * await generateSurvey(postgres(url), { orgs: 20, sessions: 10 });
 */
export async function generateSurvey(
  sql: postgres.Sql,
  options: { orgs?: number; sessions?: number } = {},
): Promise<void> {
  const { orgs = 20, sessions = 10 } = options;
  if (!(orgs >= 12 && sessions >= 1 && sessions <= 1000)) {
    throw new RangeError(
      `Cannot generate ${orgs} organizations of ${sessions} sessions: at least 12, of 1 to 1000`,
    );
  }
  await sql.begin(async (tx) => {
    await tx`insert into public.organizations (id, name) select o, 'Organization ' || o from generate_series(1, ${orgs}::bigint) as o`;
    await tx`
      insert into public.surveys (id, org_id, title, slug)
      select o.id * 10 + n, o.id, 'Survey ' || n || ' of ' || o.name, 'survey-' || o.id || '-' || n
      from public.organizations as o, generate_series(0, 1) as n`;
    await tx`
      insert into public.questions (id, survey_id, position, body)
      select s.id * 10 + n, s.id, n, 'Question ' || n || ' of ' || s.title from public.surveys as s, generate_series(1, 3) as n`;
    await tx`
      insert into public.sessions (id, org_id, survey_id, respondent, started_at)
      select o.id * 1000 + n, o.id, o.id * 10 + n % 2, 'respondent ' || n || ' of ' || o.id, timestamptz '2025-10-01 08:00Z' + n * interval '1 hour'
      from public.organizations as o, generate_series(0, ${sessions}::bigint - 1) as n`;
    await tx`
      insert into public.answers (org_id, session_id, question_id, value)
      select s.org_id, s.id, q.id, to_jsonb('answer of ' || s.org_id) from public.sessions as s join public.questions as q on q.survey_id = s.survey_id`;
    await tx`
      insert into public.facts (org_id, session_id, subject, value, confidence)
      select s.org_id, s.id, 'mood', 'fine, says ' || s.org_id, 0.5 + s.id % 5 / 10.0 from public.sessions as s`;
    await tx`
      insert into public.conversation_history (org_id, session_id, speaker, content)
      select s.org_id, s.id, case when n % 2 = 0 then 'assistant' else 'respondent' end, 'Turn ' || n || ' in ' || s.org_id
      from public.sessions as s, generate_series(1, 4) as n`;
    await tx`insert into public.conversation_state (session_id, state) select s.id, jsonb_build_object('org', s.org_id, 'step', 3) from public.sessions as s`;
    await tx`
      insert into public.ai_session_logs (org_id, session_id, model, prompt_tokens, completion_tokens)
      select s.org_id, s.id, 'small-1', 100 + s.id % 50, 20 from public.sessions as s`;
    await tx.unsafe(readFileSync(new URL("wrong-rows.sql", import.meta.url), "utf8")).simple();
    await restart(tx);
  });
}

/** Rows came with their ids: the next one of each table must be new. */
async function restart(tx: postgres.TransactionSql): Promise<void> {
  const tables = [
    "organizations",
    "surveys",
    "questions",
    "sessions",
    "answers",
    "facts",
    "conversation_history",
    "ai_session_logs",
  ];
  for (const table of tables) {
    await tx`select setval(pg_get_serial_sequence(${`public.${table}`}, 'id'), 1000000)`;
  }
}

/** `node --import tsx examples/survey/generate.ts`: fill the database that an env variable names. */
export function command(): Command {
  return new Command("generate")
    .description(
      "Fill the survey platform, before hardening, with organizations, sessions and wrong rows.",
    )
    .option("--database-env <name>", "variable with the connection string", "DATABASE_URL")
    .action(async ({ databaseEnv }: { databaseEnv: string }) => {
      const sql = await openDatabase(databaseEnv);
      try {
        await generateSurvey(sql);
      } finally {
        await sql.end({ timeout: 5 });
      }
    });
}

if (isMain(import.meta.url)) await runCli(command());
