import postgres from "postgres";
import { affected, CopyRefused, rows } from "./attempt.ts";
import type { Step } from "./types.ts";

/** Statements that several attackers try. */

export const READ_MESSAGES = rows(
  "select id from public.messages where tenant_id = $1 limit 5",
  "tenant",
);

export const INSERT_MESSAGE = affected(
  "insert into public.messages (tenant_id, development_id, unit_id, sender, body) values ($1, $2, $3, 'staff', 'injected')",
  "tenant",
  "development",
  "unit",
);

export const UPDATE_MESSAGE = affected(
  "update public.messages set body = 'defaced' where id = $1",
  "message",
);

export const DELETE_MESSAGE = affected("delete from public.messages where id = $1", "message");

/** An upsert as PostgREST writes it when nobody names the conflict: on the primary key, which has no tenant. */
export const upsert: Step = async (db, target, { own }) =>
  (await db`insert into public.messages (id, tenant_id, development_id, unit_id, sender, body)
    values (${target.message}, ${own.tenant}, ${own.development}, ${own.unit}, 'staff', 'upserted')
    on conflict (id) do update set body = excluded.body`).count;

export const merge: Step = async (db, target) =>
  (await db`merge into public.messages as m using (select ${target.message}::uuid as id) as s on m.id = s.id
    when matched then update set body = 'merged'`).count;

export const copyIn: Step = async (db, target) => {
  const stream =
    await db`copy public.messages (tenant_id, development_id, unit_id, sender, body) from stdin`
      .writable();
  stream.on("error", () => {}); // the next statement tells
  stream.end(`${[target.tenant, target.development, target.unit, "staff", "loaded"].join("\t")}\n`);
  while (!stream.closed && stream.writableLength > 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setTimeout(resolve, 1));
  try {
    // postgres.js never ends a stream that the server refuses after its last row: ask the transaction instead.
    const [row] =
      await db`select count(*) as n from public.messages where body = 'loaded' and tenant_id = ${target.tenant}`;
    return Number(row?.["n"]);
  } catch (error) {
    throw error instanceof postgres.PostgresError && error.code === "25P02"
      ? new CopyRefused(
        "COPY refused after its last row, with the statement trigger the only judge there",
      )
      : error;
  }
};
