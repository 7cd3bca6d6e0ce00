create table depots (id uuid primary key, name text not null);
create table users (
    id uuid primary key,
    depot_id uuid not null references depots (id),
    email text not null unique,
    password text not null
);
create index users_depot_id on users (depot_id);
create table items (
    id uuid primary key,
    depot_id uuid not null references depots (id),
    name text not null
);
create index items_depot_id on items (depot_id);
