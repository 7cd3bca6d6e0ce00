import { seeded } from "./depth.ts";

/** A schema and its rows, made to lose something on their way through a backup. */
export type Torture = {
  /** Superuser's part: the extensions that this server has. */
  extensions: string;
  /** Tables, types, sequences and the kit's declarations; the same in source and target. */
  ddl: string;
  /** Data only, in statements of their own; the same seed, the same rows. */
  rows: string[];
  tenants: readonly string[];
};

/** Tenant ids that a path, a quote, a LIKE, a shell or a prefix trips over. */
export const TENANTS: readonly string[] = [
  "1",
  "12",
  "o'neil",
  "a/../b",
  "50% {x,y}",
  " spaced\tout ",
  "back\\slash\\N",
  "Ünïcode 𝄞",
  '"; drop table public.tenants; --',
];

const ALL_BYTES = "(select string_agg(chr(n), '') from generate_series(1, 300) as n)";

/** Each type with values whose text is easy to get wrong, as SQL. */
const TYPES: Record<string, readonly string[]> = {
  "text": [
    "''",
    "' '",
    "'null'",
    String.raw`E'\\N'`,
    String.raw`E'\\.'`,
    String.raw`E'\n\\.\n'`,
    String.raw`E'a\tb\rc\nd\b\f\v\\'`,
    String.raw`E'\r\n'`,
    String.raw`E'\\'`,
    String.raw`E'\x01\x7f'`,
    ALL_BYTES,
    String.raw`U&'\FEFF\2028\200B\0301\202E\+01D11E\E000'`,
    "repeat('x', 70000)",
    "repeat(E'\\\\\\t\"''', 20000)",
  ],
  "character varying(10)": ["'ten chars.'", "''", "'  a  '"],
  "character(7)": ["'a'", "''", "'  b'"],
  '"char"': ["'a'", String.raw`E'\\'`, "''"],
  "name": ["'pg'", "repeat('n', 63)"],
  "bytea": [
    String.raw`'\x'`,
    String.raw`'\x00'`,
    String.raw`'\x5c2e0a5c4e09'`,
    "decode(repeat('00ff0a0d5c', 30000), 'hex')",
  ],
  "boolean": ["true", "false"],
  "smallint": ["-32768", "32767", "0"],
  "integer": ["-2147483648", "2147483647"],
  "bigint": ["-9223372036854775808", "9223372036854775807", "9007199254740993"],
  "numeric": [
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "0.000",
    "-1.10",
    "1e300",
    "1e-300",
    "('1' || repeat('0', 3000) || '.' || repeat('9', 3000))::numeric",
  ],
  "numeric(6,-2)": ["1200", "-99999999 / 1000"],
  "real": ["'-0'", "1.17549435e-38", "'1e-45'", "'3.4028235e38'", "'NaN'", "'-Infinity'", "0.1"],
  "double precision": [
    "'-0'",
    "'5e-324'",
    "'1.7976931348623157e308'",
    "0.1::float8 + 0.2::float8",
    "'NaN'",
    "'Infinity'",
  ],
  "money": ["-1234567.89", "0.01", "'-92233720368547758.08'"],
  "timestamptz": [
    "'infinity'",
    "'-infinity'",
    "'4714-11-24 00:00:00+00 BC'",
    "'0044-03-15 12:00:00.000001+00 BC'",
    "'294276-12-31 23:59:59.999999+00'",
    "'1999-12-31 23:59:59.999999+14'",
    "'1892-01-01 00:00:00 Asia/Shanghai'",
  ],
  "timestamp": ["'infinity'", "'4714-11-24 00:00:00 BC'", "'2024-02-29 23:59:59.999999'"],
  "timestamp(0)": ["'2024-02-29 23:59:59.6'"],
  "date": ["'infinity'", "'-infinity'", "'4714-11-24 BC'", "'5874897-12-31'", "'0001-01-01'"],
  "time": ["'24:00:00'", "'00:00:00.000001'"],
  "timetz": ["'23:59:59.999999-15:59'", "'00:00:00+15:59:59'"],
  "interval": [
    "'-1 year 2 mons -3 days 04:05:06.789'",
    "'1 year -2 mons 3 days -00:00:00.000001'",
    "'-0.5 seconds'",
    "'00:00:00'",
    "'-178000000 years'",
    "'2147483647 days -2562047788:00:54.775807'",
  ],
  "interval day to second(2)": ["'3 days 00:00:01.239'"],
  "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
  "json": [
    `'{"b": 1,  "a": 1, "a": 2}'`,
    "'null'",
    String.raw`E'[\n\t"\\u0000", "\\ud834\\udd1e", 1.10e400]'`,
    `'"text"'`,
  ],
  "jsonb": [
    "'null'",
    "'{}'",
    "'[]'",
    `'"\\\\N"'`,
    String.raw`'{"deep": [[[{"": "\u0001\\\"", "n": 1.1000, "big": 1e400, "small": -1e-400}]]]}'`,
    "(select jsonb_agg(n) from generate_series(1, 5000) as n)",
  ],
  "jsonpath": [`'$."a b" ? (@.x > 1)'`, "'strict $[*]'"],
  "xml": ["'<a b=\"1\">&amp;&lt;\n</a>'", "'text only'"],
  "text[]": [
    "'{}'",
    `array['', null, 'null', 'a"b\\c', '{', ',', ' ']`,
    "'[0:1]={a,\"b c\"}'",
    "'[-5:-4][7:8]={{a,b},{c,NULL}}'",
    String.raw`array[E'\n', E'\t', E'\\N', E'\\.']`,
    "array_fill('y'::text, array[2,2,2,2,2,2])",
  ],
  "integer[]": ["'[-1:1]={7,8,9}'", "'{{1,2},{3,null}}'", "'{}'", "array[null]::integer[]"],
  "double precision[]": ["'{NaN,-0,Infinity,5e-324}'"],
  "timestamptz[]": ["'{infinity,\"0044-03-15 12:00:00+00 BC\"}'"],
  "box[]": ["array[box '(1,2),(3,4)', box '(0,0),(-1e-300,5)']"],
  "bytea[]": [String.raw`array['\x00ff'::bytea, null, '\x']`],
  "torture.mood": ["'sad'", "'it''s fine'", "'tab\there'", "'Ü 𝄞'"],
  "torture.mood[]": [`'[3:4]={sad,"it''s fine"}'`],
  "torture.percent": ["'NaN'", "0", "99.990"],
  "torture.percent[]": ["array['NaN', 1.50]::torture.percent[]"],
  "torture.word": ["'a b'", "null"],
  "torture.pair": [
    `row('a"b,(c)', 1, array['x', null], null)::torture.pair`,
    `row('', null, '{}', row(7, '')::torture.inner_pair)::torture.pair`,
    "row(null, null, null, null)::torture.pair",
  ],
  "torture.pair[]": [`array[row(E'\\\\,"\\n', -1, '{}', row(1, null))::torture.pair, null]`],
  "int4range": ["'empty'", "'(,)'", "'[1,10)'"],
  "numrange": ["'[NaN,)'", "'(-Infinity,1.50]'"],
  "tstzrange": ["'[2020-01-01,)'", "'(,infinity]'", "'[\"0044-03-15 12:00:00+00 BC\",2000-01-01)'"],
  "datemultirange": ["'{}'", "'{[2020-01-01,2020-02-01),[2021-01-01,)}'"],
  "torture.text_range": [`'["a,b","c\\"d"]'`, "'empty'", "'(,\" \")'"],
  "torture.text_range_m": [`'{["a,b","c}d"],("x",)}'`],
  "tstzrange[]": ["'{\"[2020-01-01,)\",empty}'"],
  "inet": ["'::ffff:1.2.3.4'", "'10.0.0.1/8'", "'::1'"],
  "cidr": ["'10.0.0.0/8'", "'2001:db8::/32'"],
  "macaddr": ["'08:00:2b:01:02:03'"],
  "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
  "bit(5)": ["B'00101'"],
  "bit varying": ["B''", "B'1010101010101'"],
  "point": ["'(1e-300,-0)'", "'(NaN,Infinity)'"],
  "line": ["'{1,-1,0.1}'"],
  "lseg": ["'[(0,0),(1,1)]'"],
  "box": ["'(3,4),(1,2)'"],
  "path": ["'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0))'"],
  "polygon": ["'((0,0),(1,1),(2,0))'"],
  "circle": ["'<(0,0),1e-10>'"],
  "tsvector": [`'''it''''s'':1A ''\\\\'':2,16383'`, "''"],
  "tsquery": ["'a & !(b <-> ''c d'':*AB)'"],
  "pg_lsn": ["'FFFFFFFF/FFFFFFFF'"],
  "xid8": ["'18446744073709551615'"],
  "tid": ["'(4294967295,65535)'"],
  "oid": ["4294967295"],
  "regclass": ["'pg_catalog.pg_class'", `'torture."Odd ""kinds"""'`],
  "regtype": ["'timestamp with time zone'", "'torture.mood'"],
  "txid_snapshot": ["'10:20:10,14'"],
};

/** Types that need an extension; left out where the server has none. */
const EXTENSION_TYPES: Record<string, [extension: string, values: readonly string[]]> = {
  "extensions.hstore": ["hstore", [
    `'a=>1, "b c"=>NULL, "\\"q"=>"\\\\", ""=>"NULL"'`,
    "''",
    String.raw`extensions.hstore(array[E'\n', E'\t'], array[E'\\N', E'\\.'])`,
  ]],
  "extensions.citext": ["citext", ["'MiXed'", "''"]],
  "extensions.ltree": ["ltree", ["'a.B_c.1'", "''"]],
};

/**
 * A schema of every shape and type. `extensions` are those that the server offers; `rows` of them a tenant beside the
 * ones that bring in each value; `megabytes` of text in a few rows.
 *
 * @example
 * const { ddl, rows } = tortureSchema({ extensions: ["hstore"], rows: 20, megabytes: 1 });
 */
export function tortureSchema(
  options: { extensions: readonly string[]; rows: number; megabytes: number },
): Torture {
  const available = Object.entries(EXTENSION_TYPES).filter(([, [name]]) =>
    options.extensions.includes(name)
  );
  const kinds: [string, readonly string[]][] = [
    ...Object.entries(TYPES),
    ...available.map(([type, [, values]]): [string, readonly string[]] => [type, values]),
  ];
  return {
    tenants: TENANTS,
    extensions: available.map(([, [name]]) => `create extension ${name} schema extensions;`)
      .join("\n"),
    ddl: ddlOf(kinds),
    rows: rowsOf(kinds, options),
  };
}

const column = (i: number) => `"c${i} %s $1 ""q"" \\"`;
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

function ddlOf(kinds: readonly [string, readonly string[]][]): string {
  return `
create schema torture;
create schema sequences_elsewhere;
grant usage on schema torture to anon, authenticated, service_role;

create type torture.mood as enum ('sad', 'it''s fine', 'Ü 𝄞');
alter type torture.mood add value 'tab	here' before 'sad';
create domain torture.percent as numeric check (value between 0 and 100 or value = 'NaN');
create domain torture.text_word as text check (value !~ '^\\s*$');
create domain torture.word as torture.text_word;
create type torture.inner_pair as (n bigint, s text);
create type torture.pair as (a text, "b c" integer, list text[], inside torture.inner_pair);
create type torture.text_range as range (subtype = text, collation = "C", multirange_type_name = torture.text_range_m);

-- with children that came and went
create table torture.tenants (gone integer, code text primary key, name text not null, also_gone text);
alter table torture.tenants drop column gone, drop column also_gone;

create sequence sequences_elsewhere.numbers increment -7 minvalue -9000000000000000000 maxvalue 9000000000000000000 start 9000000000000000000;
create sequence torture.untouched;
create sequence torture."standing ""alone""" increment 3 start 5 cycle maxvalue 11;

-- global
create table torture.countries (code char(2) primary key, name torture.pair, area numrange);
create table torture.rates (day date not null, rate numeric) partition by range (day);
create table torture.rates_old partition of torture.rates for values from (minvalue) to ('2000-01-01');
create table torture.rates_rest partition of torture.rates default;
create table torture.nothing ();
create table torture.base_note (id integer, body text);
create table torture.special_note (extra text) inherits (torture.base_note);

create table torture."Odd ""kinds""" (
    gone_first integer,
    id bigint generated always as identity (start -5 increment 2 minvalue -5),
    "Org" text not null references torture.tenants,
    r text,
    "select" text,
    gone_middle torture.mood,
    doubled integer generated always as (number * 2) stored,
    number integer,
    shout text generated always as (upper("select") || '!') stored,
    country char(2) references torture.countries,
    parent bigint,
    ${kinds.map(([type], i) => `${column(i)} ${type}`).join(",\n    ")},
    gone_last text,
    primary key (id),
    unique ("Org", id),
    foreign key ("Org", parent) references torture."Odd ""kinds""" ("Org", id)
);
alter table torture."Odd ""kinds""" drop column gone_first, drop column gone_middle, drop column gone_last;

-- a partitioned table; one partition came with another order of columns and a dropped one
create table torture.events (
    id integer generated by default as identity,
    "Org" text not null references torture.tenants,
    day date not null,
    kind text not null,
    body text,
    primary key (id, day, kind),
    unique ("Org", id, day, kind)
) partition by range (day);
create table torture."events ""2025""" partition of torture.events for values from ('2025-01-01') to ('2026-01-01') partition by list (kind);
create table torture.events_2025_a partition of torture."events ""2025""" for values in ('a', 'it''s');
create table torture.events_2025_rest partition of torture."events ""2025""" default;
create table torture.events_2026 (dropped integer, kind text not null, body text, day date not null, "Org" text not null, id integer not null);
alter table torture.events_2026 drop column dropped;
alter table torture.events attach partition torture.events_2026 for values from ('2026-01-01') to ('2027-01-01');
create table torture.events_rest partition of torture.events default;

-- an inheritance parent and its child, each with rows of its own
create table torture.places (id integer primary key, "Org" text not null references torture.tenants, name text, unique ("Org", id));
create table torture.cities (mayor text, primary key (id), unique ("Org", id), foreign key ("Org") references torture.tenants) inherits (torture.places);

-- keys in a circle
create table torture.teams (id serial primary key, "Org" text not null references torture.tenants, lead integer, unique ("Org", id));
create table torture.people (id smallserial primary key, "Org" text not null references torture.tenants, team integer, unique ("Org", id),
    foreign key ("Org", team) references torture.teams ("Org", id));
alter table torture.teams add foreign key ("Org", lead) references torture.people ("Org", id);

-- numbers from a sequence in a schema that nobody exposes; exclusion; a deferrable key
create table torture.invoices (
    number bigint primary key default nextval('sequences_elsewhere.numbers'),
    "Org" text not null references torture.tenants,
    place integer not null,
    during tstzrange,
    unique ("Org", number),
    unique ("Org", place) deferrable initially deferred,
    exclude using gist (during with &&)
);
create unlogged table torture.volatile (id uuid primary key, "Org" text not null references torture.tenants, body text, unique ("Org", id));
create table torture.wide (id integer primary key, "Org" text not null references torture.tenants, unique ("Org", id),
    ${Array.from({ length: 240 }, (_, i) => `w${i} smallint`).join(", ")});
create table torture.large (id integer primary key, "Org" text not null references torture.tenants, body text, unique ("Org", id));
alter table torture.large alter column body set storage external;

-- a rule and triggers of the project's own must not notice a restore
create function torture.interfere() returns trigger language plpgsql as $$
begin
    if current_setting('torture.loading', true) is distinct from 'on' then
        raise exception 'the project''s own trigger ran on %', tg_relid::regclass;
    end if;
    return new;
end $$;
create trigger interfere before insert on torture.large for each row execute function torture.interfere();
create trigger interfere before insert on torture.events for each row execute function torture.interfere();

select bulkhead.configure('torture.tenants', 'Org', exposed_schemas => '{torture}');
select bulkhead.exempt('torture.countries', 'the same countries for everybody');
select bulkhead.exempt('torture.rates', 'the same rates for everybody');
select bulkhead.exempt('torture.nothing', 'a table without a column');
select bulkhead.exempt('torture.base_note', 'notes of the company itself');
select bulkhead.exempt('torture.special_note', 'notes of the company itself');
select bulkhead.protect('torture.tenants');
${
    ['"Odd ""kinds"""', "events", "places", "teams", "people", "invoices", "volatile", "wide"]
      .concat("large").map((table) => `select bulkhead.protect('torture.${table}');`).join("\n")
  }`;
}

function rowsOf(
  kinds: readonly [string, readonly string[]][],
  options: { rows: number; megabytes: number },
): string[] {
  const random = seeded(7);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const columns = [
    ...['"Org"', "r", '"select"', "number", "country"],
    ...kinds.map((_, i) => column(i)),
  ].join(", ");
  const text = TYPES["text"] ?? [];
  const most = Math.max(...kinds.map(([, values]) => values.length));
  const odd: string[] = [];
  for (const tenant of TENANTS) {
    // Each value of each type once for the first tenant, all null once, then as chance has it.
    const whole = tenant === TENANTS[0] ? most : 1;
    for (let i = 0; i < whole + 1 + options.rows; i++) {
      const values = kinds.map(([, values]) =>
        i < whole
          ? values[i % values.length] ?? "null"
          : i === whole || random() < 0.2
          ? "null"
          : pick(values)
      );
      odd.push(`(${
        [
          literal(tenant),
          i === whole ? "null" : pick(text),
          i === whole ? "null" : pick(text),
          i === whole ? "null" : String(Math.floor(random() * 1e9) - 5e8),
          pick(["'at'", "'xx'", "null"]),
          ...values,
        ].join(", ")
      })`);
    }
  }
  const each = (f: (tenant: string, i: number) => string) => TENANTS.map(f).join(";\n");
  // Half a row each, so that one of them stands for all that is large.
  const half = Math.max(1, Math.floor(options.megabytes * 2 ** 20 / 2));
  return [
    `set torture.loading = 'on'`,
    `insert into torture.tenants values ${
      TENANTS.map((tenant) => `(${literal(tenant)}, ${literal(`name of ${tenant}`)})`).join(", ")
    }`,
    `insert into torture.countries values ('at', row('Österreich', 1, null, null), '[83879,83879]'), ('xx', null, 'empty')`,
    `insert into torture.rates values ('-infinity', 'NaN'), ('1999-12-31', 1.10), ('infinity', null)`,
    `insert into torture.nothing select from generate_series(1, 3)`,
    `insert into torture.base_note values (1, E'of nobody\\n'); insert into torture.special_note values (1, 'too', '\\.')`,
    ...odd.map((row) => `insert into torture."Odd ""kinds""" (${columns}) values ${row}`),
    `update torture."Odd ""kinds""" as o set parent = (select max(p.id) from torture."Odd ""kinds""" as p where p."Org" = o."Org" and p.id < o.id)`,
    // Gaps in the identity, a key that was raised by hand, events of deletes.
    `delete from torture."Odd ""kinds""" as o where o.id % 5 = 0 and not exists (select from torture."Odd ""kinds""" as c where c.parent = o.id)`,
    each((tenant, i) =>
      `insert into torture.events ("Org", day, kind, body)
       select ${literal(tenant)}, d.day, k.kind, ${pick(text)}
       from unnest('{2025-02-03,2025-12-31,2026-01-01,infinity,"0044-03-15 BC"}'::date[]) as d (day), unnest('{a,it''s,other}'::text[]) as k (kind);
       insert into torture.places values (${i}, ${literal(tenant)}, 'place');
       insert into torture.cities values (${i}, ${literal(tenant)}, 'city of the same id', ${
        pick(text)
      }), (${i} + 100, ${literal(tenant)}, 'city', null);
       insert into torture.teams ("Org") values (${literal(tenant)});
       insert into torture.people ("Org", team) select "Org", id from torture.teams where "Org" = ${
        literal(tenant)
      };
       insert into torture.volatile values (gen_random_uuid(), ${literal(tenant)}, ${pick(text)});
       insert into torture.wide (id, "Org", w0, w239) values (${i}, ${literal(tenant)}, 1, -1);
       insert into torture.invoices ("Org", place, during) values (${
        literal(tenant)
      }, 1, tstzrange('epoch'::timestamptz + interval '1 day' * ${i}, 'epoch'::timestamptz + interval '1 day' * ${i} + interval '1 hour')), (${
        literal(tenant)
      }, 2, 'empty')`
    ),
    `update torture.teams as t set lead = (select p.id from torture.people as p where p.team = t.id)`,
    `insert into torture.large select 1, ${
      literal(TENANTS[1] ?? "")
    }, left(repeat(md5('a') || E'\\\\\\t\\n"', ${half} / 30), ${half})`,
    `insert into torture.large select 1 + n, ${
      literal(TENANTS[2] ?? "")
    }, repeat(md5(n::text), ${half} / 32 / 8) from generate_series(1, 8) as n`,
    `select nextval('torture."standing ""alone"""') from generate_series(1, 2)`,
  ];
}
