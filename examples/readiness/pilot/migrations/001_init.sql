create table organizations (id uuid primary key, name text not null);
create table users (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    email text not null unique,
    password text not null
);
create index users_organization_id on users (organization_id);
create table items (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    name text not null
);
create index items_organization_id on items (organization_id);
