-- The usual way, to compare with: a row-level trigger that stores both whole rows with to_jsonb.
create table public.row_trigger_events (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text,
    role text not null default current_user,
    table_name text not null,
    operation text not null,
    old_row jsonb,
    new_row jsonb
);
create index on public.row_trigger_events using brin (at);
create function public.row_trigger()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into public.row_trigger_events (actor, table_name, operation, old_row, new_row)
    values (
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', tg_table_schema || '.' || tg_table_name, tg_op,
        case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end);
    return null;
end
$$;
create trigger audit after insert or update or delete on public.row_trigger for each row execute function public.row_trigger();

-- Floors: what any statement trigger costs, and one that inserts a constant row.
create function public.nothing() returns trigger language plpgsql as $$begin return null; end$$;
create trigger nothing after insert on public.empty_trigger referencing new table as new_rows for each statement execute function public.nothing();
create trigger nothing_u after update on public.empty_trigger referencing old table as old_rows new table as new_rows for each statement execute function public.nothing();
create table public.second (a bigint, b text);
create function public.one_row() returns trigger language plpgsql as $$begin insert into public.second values (1, 'x'); return null; end$$;
create trigger one_row after insert or update on public.second_insert for each statement execute function public.one_row();
