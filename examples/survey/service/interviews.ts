import type { OrgDatabase } from "./org-database.ts";

/** A row as the tests look at it: whose it is says the database, not the request. */
export type Row = { id: string; org_id: string };

/** The interviews of one organization. No query names it: the database does. */
export const interviews = {
  sessions: (database: OrgDatabase): Promise<Row[]> =>
    database(async (tx) => [...await tx<Row[]>`select id, org_id from public.sessions`]),

  /** Everything that was said in a session; nothing when it is another organization's. */
  transcript: (database: OrgDatabase, sessionId: string): Promise<Row[]> =>
    database(async (tx) => [
      ...await tx<Row[]>`
        select id, org_id from public.conversation_history where session_id = ${sessionId}
        union all select id, org_id from public.answers where session_id = ${sessionId}
        union all select id, org_id from public.facts where session_id = ${sessionId}
        union all select session_id, org_id from public.conversation_state where session_id = ${sessionId}
        union all select id, org_id from public.ai_session_logs where session_id = ${sessionId}`,
    ]),

  /** The organization is read from the session's row, which is the own one or none. */
  say: (database: OrgDatabase, sessionId: string, content: string): Promise<Row[]> =>
    database(async (tx) => [
      ...await tx<Row[]>`
        insert into public.conversation_history (org_id, session_id, speaker, content)
        select s.org_id, s.id, 'respondent', ${content} from public.sessions as s where s.id = ${sessionId}
        returning id, org_id`,
    ]),

  /** Writes, then fails: what was written must not stay, and neither must the context. */
  fail: (database: OrgDatabase, sessionId: string): Promise<never> =>
    database(async (tx) => {
      await tx`update public.sessions set respondent = 'half done' where id = ${sessionId}`;
      throw new RangeError("the assistant gave up");
    }),
};
