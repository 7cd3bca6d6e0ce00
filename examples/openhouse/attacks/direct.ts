import { attempt, type Definition } from "./attempt.ts";
import { INSERT_MESSAGE, READ_MESSAGES } from "./statements.ts";
import type { Attack, Db, Target } from "./types.ts";

type Short = Omit<Definition, "layer" | "setup">;

/** Two login roles, made in the transaction: `worker` is a declared direct role, `reporting` nobody declared. */
async function roles(db: Db): Promise<void> {
  await db.unsafe(`
    create role openhouse_worker;
    create role openhouse_reporting;
    grant openhouse_worker, openhouse_reporting to current_user;
    grant usage on schema public, bulkhead to openhouse_worker, openhouse_reporting;
    grant select, insert, update, delete on public.messages to openhouse_worker, openhouse_reporting;
    grant execute on function bulkhead.current_tenants(), bulkhead.canonical_tenant(text) to openhouse_worker, openhouse_reporting;
    create policy direct_access on public.messages for all to openhouse_worker, openhouse_reporting using (true) with check (true);
    update bulkhead.settings set direct_roles = '{openhouse_worker}'`);
}

const worker =
  (forge: (own: string, target: Target) => Record<string, string>): Definition["as"] =>
  (context, target) => ({
    role: "openhouse_worker",
    settings: forge(context.own.tenant, target),
  });
const reporting: Definition["as"] = (_, { tenant }) => ({
  role: "openhouse_reporting",
  settings: { "bulkhead.tenant": tenant },
});
/** The declared role with its own tenant set. */
const declared = worker((own) => ({ "bulkhead.tenant": own }));

const attack = (definition: Short): Attack =>
  attempt({ layer: "direct", setup: roles, controlAs: declared, ...definition });

/** Attempts over a connection of one's own, past PostgREST. The control is a declared role in its own tenant. */
export const direct: Attack[] = [
  attack({
    id: "direct-read",
    threat: "read",
    title: "a worker in its tenant reads another",
    as: declared,
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "direct-insert",
    threat: "insert",
    title: "a worker in its tenant writes for another",
    as: declared,
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "direct-no-tenant",
    threat: "read",
    title: "a worker that set no tenant",
    as: worker(() => ({})),
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "direct-headers",
    threat: "forged header",
    title: "a worker forges request.headers instead of setting its tenant",
    as: worker((_, { tenant }) => ({
      "request.headers": JSON.stringify({ "x-tenant-id": tenant }),
    })),
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "direct-claims",
    threat: "forged claims",
    title: "a worker forges request.jwt.claims of a member",
    as: worker((_, { tenant, member }) => ({
      "request.jwt.claims": JSON.stringify({
        role: "authenticated",
        sub: member,
        app_metadata: { tenant_id: tenant },
      }),
    })),
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "direct-undeclared-read",
    threat: "read",
    title: "a role that nobody declared sets a tenant and reads",
    as: reporting,
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "direct-undeclared-insert",
    threat: "insert",
    title: "a role that nobody declared sets a tenant and writes",
    as: reporting,
    step: INSERT_MESSAGE,
  }),
];
