-- Rows as the schema of before lets them in. What becomes of each, harden.sql says: ids of 900,000 and above have one
-- answer and are repaired, ids of 990,000 and above have none or two and go to quarantine, with what hangs on them.
-- generate.ts gives organization o the surveys o * 10 and o * 10 + 1, and the sessions from o * 1000.
insert into public.surveys (id, org_id, title, slug) values
    (990001, null, 'Nobody''s survey', 'nobodys');
insert into public.questions (id, survey_id, position, body) values
    (990001, 990001, 1, 'Follows its survey into quarantine');

insert into public.sessions (id, org_id, survey_id, respondent) values
    (900001, null, 120, 'Its survey is of 12'),
    (990001, 1, 120, 'Says 1, its survey is of 12'),
    (990002, 4000, 10, 'An organization that never was');

insert into public.answers (id, org_id, session_id, question_id, value) values
    (900001, null, 900001, 1201, '"follows its session to 12"'),
    (990001, 1, 1000, 1201, '"a session of 1, a question of 12"'),
    (990002, 2, 12000, 1211, '"says 2, session and question are of 12"');

insert into public.facts (id, org_id, session_id, subject, value) values
    (900001, null, 12000, 'team size', '12'),
    (990002, null, null, 'nobody', 'nothing says whose');
-- The default filed it under 1; it was said to 12.
insert into public.facts (id, session_id, subject, value) values (990001, 12000, 'budget', '40000');

insert into public.conversation_history (id, org_id, session_id, speaker, content) values
    (900001, null, 900001, 'respondent', 'Hello?'),
    (990001, 12, 777777, 'respondent', 'A session that is gone'),
    (990002, null, 990001, 'assistant', 'Follows its session into quarantine');

insert into public.conversation_state (session_id, state) values
    (900001, '{"step": "fix"}'),
    (990001, '{"step": "lost"}');

insert into public.ai_session_logs (id, org_id, session_id, model) values
    (900001, null, 12000, 'large-2'),
    (990001, 2, 12000, 'large-2'),
    (990002, null, null, 'large-2');
