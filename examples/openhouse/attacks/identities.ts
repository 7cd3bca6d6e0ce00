import type { AttackContext, Identity, Person, Target } from "./types.ts";

type Extra = {
  claims?: Record<string, unknown>;
  headers?: Record<string, string>;
  settings?: Record<string, string>;
};
type As = (context: AttackContext, target: Target) => Identity;

/** A signed-in person, with a token as the auth server writes it, and whatever else they send. */
export function person(who: Person, extra: (target: Target) => Extra = () => ({})): As {
  return (context, target) => {
    const { claims, ...rest } = extra(target);
    return {
      role: "authenticated",
      claims: { role: "authenticated", sub: context.people[who], aud: "authenticated", ...claims },
      ...rest,
    };
  };
}

/** A back end with the service key, naming its own tenant unless told otherwise. */
export function service(
  headers: (own: string, target: Target) => Record<string, string> = (own) => ({
    "x-tenant-id": own,
  }),
): As {
  return (context, target) => ({
    role: "service_role",
    claims: { role: "service_role" },
    headers: headers(context.own.tenant, target),
  });
}

/** The public key that every browser has. */
export function anon(extra: (target: Target) => Extra = () => ({})): As {
  return (_, target) => {
    const { claims, ...rest } = extra(target);
    return { role: "anon", claims: { role: "anon", ...claims }, ...rest };
  };
}

/** The owner of the schema, for controls: proves that a statement works at all. */
export const platform: As = () => ({ role: "none" });
