-- Rows as half a step to tenancy leaves them, planted in the schema as of 0004. Ids say what becomes of each:
-- fix-… have one answer and are repaired, lost-… have none (or two) and go to quarantine, with what hangs on them.
insert into public.users (id, tenant_id, email, name) values
    ('lost-user', null, 'nobody@skills.example', 'Nobody''s'),
    ('lost-user-of-a-tenant-that-left', '99', 'left@skills.example', 'Left');

insert into public.skills (id, tenant_id, author_id, slug, title) values
    ('fix-skill', null, 'u-12-1', 'fix-skill', 'Its author is of 12'),
    ('lost-skill', null, null, 'lost-skill', 'No tenant, no author'),
    ('lost-skill-two-answers', '1', 'u-12-1', 'lost-two', 'Says 1, its author is of 12');

insert into public.skill_versions (id, skill_id, version, body) values
    ('fix-version', 'fix-skill', 1, 'Follows its skill to 12'),
    ('lost-version', 'lost-skill', 1, 'Follows its skill into quarantine');

insert into public.skill_embeddings (id, skill_id, model, embedding) values
    ('fix-embedding', 'fix-skill', 'small-1', '{0.5, -0.25}'),
    ('lost-embedding', 'lost-skill-two-answers', 'small-1', '{0.125}');

insert into public.ratings (id, tenant_id, skill_id, user_id, score) values
    ('fix-rating', null, 'fix-skill', 'u-12-2', 5),
    ('lost-rating-of-a-lost-user', '12', 's-12-2', 'lost-user', 1),
    ('lost-rating-across', '1', 's-1-1', 'u-12-1', 2);

insert into public.usage_events (tenant_id, skill_id, user_id, kind, tokens) values
    (null, 's-12-1', 'u-12-1', 'fix-event', 7),
    -- The default filed it under the first customer; its skill and its user are of 12.
    (default, 's-12-1', 'u-12-1', 'lost-event-of-the-default', 11),
    ('12', 'no-such-skill', 'u-12-1', 'lost-event-orphan', 13);

insert into public.skill_reviews (id, tenant_id, skill_id, reviewer_id) values
    ('fix-review', null, 'fix-skill', 'u-12-1'),
    ('lost-review-across', 'acme', 's-acme-3', 'u-acme-eu-1');

insert into public.api_keys (id, tenant_id, user_id, name, key_hash) values
    ('fix-key', null, 'u-acme-1', 'Its user is of acme', md5('fix-key')),
    ('lost-key-across', '12', 'u-1-1', 'Says 12, its user is of 1', md5('lost-key'));

insert into public.site_settings (tenant_id, key, value) values
    ('1', 'theme', '"dark"'),
    ('1', 'support_address', '"help@skills.example"'),
    (null, 'lost-setting', 'true');
