/** A schema that has every shape which trips a generator, for tenants of any type. `key(n)` is the n-th tenant's id. */
export function nastySchema(
  type: "uuid" | "text" | "bigint",
): { ddl: string; key: (n: number) => string } {
  const key = (n: number) =>
    type === "bigint"
      ? String(n)
      : type === "text"
      ? `'org''${n}'`
      : `'${"0".repeat(7)}${n}-0000-4000-8000-000000000000'::uuid`;
  const ddl = `
create schema "My App";
create table "My App"."Orgs" (code ${type} primary key, name text not null unique);
insert into "My App"."Orgs" select * from (values (${key(1)}, 'one'), (${key(2)}, 'two')) as v;

-- global, and referred to
create table "My App".countries (code text primary key, note text);
insert into "My App".countries values ('de', null), ('fr', null);

-- a column of another name, nullable, cascading, with a default, and a unique that is everybody's
create table "My App".customers (
    id bigint generated always as identity primary key,
    "Org" ${type} default ${key(1)} references "My App"."Orgs" on delete cascade,
    slug text not null unique,
    country text references "My App".countries on delete set null,
    email text not null,
    shout text generated always as (upper(slug)) stored
);
create unique index "customers 100% email" on "My App".customers (lower(email)) where email <> '';
insert into "My App".customers ("Org", slug, country, email) values
    (${key(1)}, 'a', 'de', 'A@x'), (${key(1)}, 'b', null, ''), (${
    key(2)
  }, 'c', 'fr', 'c@x'), (null, 'stray', null, '');

-- two hops, quoted, with what format() and dollar quotes trip over
create table "My App"."Order" (
    "Select" integer primary key,
    "customer 50%" bigint not null references "My App".customers on delete cascade deferrable initially deferred,
    "a $bulkhead$ b" text
);
insert into "My App"."Order" select n, 1 + n % 3, 'x%s' from generate_series(1, 30) as n;
create table "My App".lines (
    "order" integer references "My App"."Order" on update cascade on delete cascade,
    "no" smallint not null,
    amount numeric(10, 2) default 'NaN',
    tags text[] default '{a,"b c"}',
    body jsonb default '"text"',
    raw bytea default '\\xdeadbeef',
    primary key ("order", "no")
);
insert into "My App".lines ("order", "no") select n, k from generate_series(1, 30) as n, generate_series(1, 2) as k;
-- a stray customer's whole tree
insert into "My App"."Order" values (99, 4, 'stray');
insert into "My App".lines values (99, 1, 'NaN', '[0:1]={a,"b c"}', '"text"', '\\xdead');
-- composite parent
create table "My App".remarks (id uuid primary key default gen_random_uuid(), line_order integer, line_no smallint, "text" text,
    foreign key (line_order, line_no) references "My App".lines on delete cascade);
insert into "My App".remarks (line_order, line_no, "text") select "order", "no", 'r' from "My App".lines;
insert into "My App".remarks (line_order, line_no, "text") values (null, null, 'of nobody');

-- refers to itself
create table "My App".categories (
    id integer primary key,
    "Org" ${type},
    parent integer references "My App".categories on delete cascade
);
insert into "My App".categories values (1, ${key(1)}, null), (2, null, 1), (3, null, 2), (4, ${
    key(2)
  }, null), (5, ${key(2)}, 1), (6, null, 5), (7, null, null);

-- circle
create table "My App".teams (id integer primary key, "Org" ${type} references "My App"."Orgs" on delete cascade, lead integer);
create table "My App".people (id integer primary key, team integer references "My App".teams on delete cascade, friend integer references "My App".people on delete set null);
alter table "My App".teams add constraint teams_lead_fkey foreign key (lead) references "My App".people on delete cascade;
insert into "My App".teams values (1, ${key(1)}, null), (2, ${key(2)}, null), (3, null, null);
insert into "My App".people values (1, 1, null), (2, 2, null), (3, 3, null), (4, 1, 2), (5, 2, 2);
update "My App".teams set lead = id;

-- partitions, and a partition of a partition; no tenant column
create table "My App".events (id bigint, at date not null, customer bigint references "My App".customers on delete cascade, primary key (id, at)) partition by range (at);
create table "My App"."events 2025" partition of "My App".events for values from ('2025-01-01') to ('2026-01-01');
create table "My App".events_2026 partition of "My App".events for values from ('2026-01-01') to ('2027-01-01') partition by list (id);
create table "My App".events_2026_rest partition of "My App".events_2026 default;
insert into "My App".events select n, date '2025-06-01' + n, 1 + n % 3 from generate_series(1, 400) as n;
insert into "My App".events values (1000, '2026-02-02', 4);

-- the application's own trigger must not notice
create function "My App".touch() returns trigger language plpgsql as $$ begin raise exception 'the trigger ran'; end $$;
grant usage on schema "My App" to anon, authenticated, service_role;
grant all on all tables in schema "My App" to anon, authenticated, service_role;
create view "My App".glance as select * from "My App".customers;
grant select on "My App".glance to authenticated;
alter table "My App".categories enable row level security;
create policy "it's ""open""" on "My App".categories for select to public using (true);
`;
  return { ddl, key };
}

/** The choices that a person makes about it. */
export const NASTY_CONFIG = {
  version: 1,
  schemas: ["My App"],
  batch_pages: 1,
  tenants: { table: '"My App"."Orgs"', column: "Org" },
  tables: { '"My App".countries': { kind: "global", reason: "the same countries for everybody" } },
  uniques: {
    '"My App".customers.customers_slug_key': "per_tenant",
    '"My App".customers."customers 100% email"': "per_tenant",
  },
  policies: { '"My App".categories."it\'s ""open"""': "drop" },
  views: { '"My App".glance': "invoker" },
};
