create table orgs (id serial primary key, name text);
create table orders (id serial primary key, org_id int, total numeric);
