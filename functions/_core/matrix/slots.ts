/** Which of the two tenants a row belongs to; `c` is a third one, that nobody is a member of. */
export type TenantName = "a" | "b" | "c";

/** One row of each table: whose it is, and the number that its values are made from. */
export type Slot = { name: string; tenant: TenantName | null; n: number; role?: string };

/**
 * The rows that stand still while others are attacked. Numbers of the two tenants begin alike: what compares
 * their ids as text, or by a prefix, is found out.
 */
export const SLOTS = {
  a: { name: "a", tenant: "a", n: 1 },
  b: { name: "b", tenant: "b", n: 12 },
  /** Written by an attempt: their parents exist, they do not. */
  newA: { name: "newA", tenant: "a", n: 2 },
  newB: { name: "newB", tenant: "b", n: 13 },
  /** Shared by both: countries, plans. */
  global: { name: "global", tenant: null, n: 3 },
  stranger: { name: "stranger", tenant: "b", n: 4 },
  newTenant: { name: "newTenant", tenant: "c", n: 5 },
} as const satisfies Record<string, Slot>;

/** The rows of a member of a tenant with a role, beside the first. */
export function memberSlot(tenant: "a" | "b", index: number, role: string): Slot {
  if (index === 0) return { ...SLOTS[tenant], role };
  return { name: `${tenant}:${role}`, tenant, n: (tenant === "a" ? 20 : 40) + index, role };
}
