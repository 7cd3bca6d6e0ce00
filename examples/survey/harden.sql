-- The survey platform, hardened. Needs Bulkhead's migrations; runs in one transaction, on a live database in a quiet hour
-- (for large tables `bulkhead adopt` writes the same as steps without long locks).
-- Repairs what has a single answer, moves the rest to quarantine.rows, guesses nothing, deletes nothing.

select bulkhead.configure('public.organizations', tenant_column => 'org_id', direct_roles => '{application_role}');

create schema if not exists quarantine;
create table if not exists quarantine.rows (
    id bigint generated always as identity primary key,
    table_name text not null,
    row_id text not null,
    reason text not null,
    content jsonb not null,
    quarantined_at timestamptz not null default now()
);
comment on table quarantine.rows is 'Rows without a single owner, whole, until somebody who knows brings them home';
alter table quarantine.rows enable row level security;
revoke all on schema quarantine from public;

-- 1. Cascades go first: moving a session would silently delete what was said in it.

alter table public.surveys drop constraint surveys_org_id_fkey;
alter table public.questions drop constraint questions_survey_id_fkey;
alter table public.sessions drop constraint sessions_survey_id_fkey;
alter table public.answers drop constraint answers_session_id_fkey, drop constraint answers_question_id_fkey;
alter table public.facts drop constraint facts_session_id_fkey;
alter table public.conversation_state drop constraint conversation_state_session_id_fkey;

-- 2. Backfill through the parent, where there is one answer. An organization that is there is never overwritten.

alter table public.facts alter column org_id drop default;
alter table public.questions add column org_id bigint;
alter table public.conversation_state add column org_id bigint;

update public.questions as c set org_id = p.org_id from public.surveys as p where p.id = c.survey_id and c.org_id is null;
update public.sessions as c set org_id = p.org_id from public.surveys as p where p.id = c.survey_id and c.org_id is null;
update public.answers as c set org_id = p.org_id from public.sessions as p where p.id = c.session_id and c.org_id is null;
update public.facts as c set org_id = p.org_id from public.sessions as p where p.id = c.session_id and c.org_id is null;
update public.conversation_history as c set org_id = p.org_id from public.sessions as p where p.id = c.session_id and c.org_id is null;
update public.conversation_state as c set org_id = p.org_id from public.sessions as p where p.id = c.session_id and c.org_id is null;
update public.ai_session_logs as c set org_id = p.org_id from public.sessions as p where p.id = c.session_id and c.org_id is null;

-- 3. What contradicts itself waits in quarantine: parents before children, so that a child follows its parent.

do $$
declare
    v_rule record;
begin
    for v_rule in
        select *
        from (values
            ('surveys', 'id', 'no organization that exists', 'not exists (select from public.organizations as p where p.id = c.org_id)'),
            ('questions', 'id', 'its survey is not of its organization', 'not exists (select from public.surveys as p where p.org_id = c.org_id and p.id = c.survey_id)'),
            ('sessions', 'id', 'its survey is not of its organization', 'not exists (select from public.surveys as p where p.org_id = c.org_id and p.id = c.survey_id)'),
            ('answers', 'id', 'its session is not of its organization', 'not exists (select from public.sessions as p where p.org_id = c.org_id and p.id = c.session_id)'),
            ('answers', 'id', 'its question is not of its organization', 'not exists (select from public.questions as p where p.org_id = c.org_id and p.id = c.question_id)'),
            ('facts', 'id', 'no organization that exists', 'not exists (select from public.organizations as p where p.id = c.org_id)'),
            ('facts', 'id', 'its session is not of its organization', 'c.session_id is not null and not exists (select from public.sessions as p where p.org_id = c.org_id and p.id = c.session_id)'),
            ('conversation_history', 'id', 'its session is not of its organization', 'not exists (select from public.sessions as p where p.org_id = c.org_id and p.id = c.session_id)'),
            ('conversation_state', 'session_id', 'its session is not of its organization', 'not exists (select from public.sessions as p where p.org_id = c.org_id and p.id = c.session_id)'),
            ('ai_session_logs', 'id', 'no organization that exists', 'not exists (select from public.organizations as p where p.id = c.org_id)'),
            ('ai_session_logs', 'id', 'its session is not of its organization', 'c.session_id is not null and not exists (select from public.sessions as p where p.org_id = c.org_id and p.id = c.session_id)')
        ) as rule (table_name, key, reason, condition)
    loop
        execute format(
            'with moved as (delete from public.%1$I as c where %2$s returning c.*)'
            ' insert into quarantine.rows (table_name, row_id, reason, content)'
            ' select %3$L, m.%4$I::text, %5$L, to_jsonb(m) from moved as m',
            v_rule.table_name, v_rule.condition, 'public.' || v_rule.table_name, v_rule.key, v_rule.reason);
    end loop;
end
$$;

-- 4. Keys that carry the organization; they hold for every role, in every transaction, whatever the policies say.

-- A survey's integration token is in here as ciphertext or not at all; service/integrations.ts has the key, the database never.
alter table public.surveys
    add column integration_token text,
    add constraint surveys_integration_token_check check (integration_token ~ '^bhf1\.[0-9a-f]{32}\.[A-Za-z0-9_-]+$'),
    alter column org_id set not null,
    drop constraint surveys_slug_key,
    add constraint surveys_org_id_id_key unique (org_id, id),
    add constraint surveys_org_id_slug_key unique (org_id, slug),
    add constraint surveys_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict;

alter table public.questions
    alter column org_id set not null,
    drop constraint questions_survey_id_position_key,
    add constraint questions_org_id_id_key unique (org_id, id),
    add constraint questions_org_id_survey_id_position_key unique (org_id, survey_id, position),
    add constraint questions_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint questions_survey_id_fkey foreign key (org_id, survey_id) references public.surveys (org_id, id) on delete restrict;

alter table public.sessions
    alter column org_id set not null,
    add constraint sessions_org_id_id_key unique (org_id, id),
    add constraint sessions_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint sessions_survey_id_fkey foreign key (org_id, survey_id) references public.surveys (org_id, id) on delete restrict;

alter table public.answers
    alter column org_id set not null,
    drop constraint answers_session_id_question_id_key,
    add constraint answers_org_id_id_key unique (org_id, id),
    add constraint answers_org_id_session_id_question_id_key unique (org_id, session_id, question_id),
    add constraint answers_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint answers_session_id_fkey foreign key (org_id, session_id) references public.sessions (org_id, id) on delete restrict,
    add constraint answers_question_id_fkey foreign key (org_id, question_id) references public.questions (org_id, id) on delete restrict;

alter table public.facts
    alter column org_id set not null,
    add constraint facts_org_id_id_key unique (org_id, id),
    add constraint facts_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint facts_session_id_fkey foreign key (org_id, session_id) references public.sessions (org_id, id) on delete restrict;

alter table public.conversation_history
    alter column org_id set not null,
    add constraint conversation_history_org_id_id_key unique (org_id, id),
    add constraint conversation_history_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint conversation_history_session_id_fkey foreign key (org_id, session_id) references public.sessions (org_id, id) on delete restrict;

alter table public.conversation_state
    alter column org_id set not null,
    add constraint conversation_state_org_id_session_id_key unique (org_id, session_id),
    add constraint conversation_state_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint conversation_state_session_id_fkey foreign key (org_id, session_id) references public.sessions (org_id, id) on delete restrict;

alter table public.ai_session_logs
    alter column org_id set not null,
    add constraint ai_session_logs_org_id_id_key unique (org_id, id),
    add constraint ai_session_logs_org_id_fkey foreign key (org_id) references public.organizations (id) on delete restrict,
    add constraint ai_session_logs_session_id_fkey foreign key (org_id, session_id) references public.sessions (org_id, id) on delete restrict;

create index sessions_org_id_idx on public.sessions (org_id, survey_id, started_at);
create index answers_org_id_idx on public.answers (org_id, question_id);
create index facts_org_id_idx on public.facts (org_id, session_id);
create index conversation_history_org_id_idx on public.conversation_history (org_id, session_id, id);
create index ai_session_logs_org_id_idx on public.ai_session_logs (org_id, session_id);

-- 5. The holes go. The back end has one role, and what it may do is written here; nobody else may do anything.

drop policy sessions_org on public.sessions;
drop policy answers_org on public.answers;
alter view public.session_overview set (security_invoker = true);
revoke all on all tables in schema public from anon, authenticated, service_role, application_role;
revoke all on all sequences in schema public from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
grant select on public.organizations, public.session_overview to application_role;
grant select, insert, update, delete on
    public.surveys, public.questions, public.sessions, public.answers, public.facts, public.conversation_history,
    public.conversation_state, public.ai_session_logs
to application_role;

-- 6. tenant_isolation opens an organization's own rows; Bulkhead's restrictive floor bounds it. Both must name it.

do $$
declare
    v_table regclass;
begin
    perform bulkhead.protect('public.organizations');
    foreach v_table in array array[
        'public.surveys', 'public.questions', 'public.sessions', 'public.answers', 'public.facts',
        'public.conversation_history', 'public.conversation_state', 'public.ai_session_logs'
    ]::regclass[] loop
        execute format(
            'create policy tenant_isolation on %1$s for all to application_role using (%2$s) with check (%2$s)',
            bulkhead.qualified(v_table),
            'org_id = (select nullif(current_setting(''app.current_org_id'', true), '''')::bigint)');
        perform bulkhead.protect(v_table);
    end loop;
end
$$;
