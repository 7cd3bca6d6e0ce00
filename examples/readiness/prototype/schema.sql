create table shops (id serial primary key, name text);
create table orders (id serial primary key, shop_id int, total numeric);
