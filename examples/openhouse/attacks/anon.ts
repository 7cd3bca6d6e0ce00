import { attempt, type Definition, rows, unfiltered } from "./attempt.ts";
import { anon as as, person } from "./identities.ts";
import { DELETE_MESSAGE, INSERT_MESSAGE, READ_MESSAGES, UPDATE_MESSAGE } from "./statements.ts";
import type { Attack } from "./types.ts";

const attack = (
  definition: Omit<Definition, "layer" | "controlAs" | "as"> & { as?: Definition["as"] },
): Attack => attempt({ layer: "anon", as: as(), ...definition, controlAs: person("owner") });

/** Attempts with nothing but the public key. The control is a member doing the same in their own tenant. */
export const anonymous: Attack[] = [
  attack({
    id: "anon-read",
    threat: "anon",
    title: "a visitor reads messages",
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "anon-read-units",
    threat: "anon",
    title: "a visitor reads units",
    step: rows("select id from public.units where tenant_id = $1", "tenant"),
    reads: true,
  }),
  attack({
    id: "anon-insert",
    threat: "anon",
    title: "the old chat widget writes a message",
    step: INSERT_MESSAGE,
  }),
  attack({
    id: "anon-update",
    threat: "anon",
    title: "a visitor rewrites a message",
    step: UPDATE_MESSAGE,
  }),
  attack({
    id: "anon-delete",
    threat: "anon",
    title: "a visitor deletes a message",
    step: DELETE_MESSAGE,
  }),
  attack({
    id: "anon-header",
    threat: "forged header",
    title: "a visitor names a tenant in x-tenant-id",
    as: as(({ tenant }) => ({ headers: { "x-tenant-id": tenant } })),
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "anon-claims",
    threat: "forged claims",
    title: "claims say authenticated while the connection is anon",
    as: as(({ member }) => ({ claims: { role: "authenticated", sub: member } })),
    step: READ_MESSAGES,
    reads: true,
  }),
  attack({
    id: "anon-rpc",
    threat: "definer function",
    title: "a visitor searches through the application's function",
    step: unfiltered("select tenant_id as tenant from public.search_messages('')"),
    reads: true,
  }),
];
