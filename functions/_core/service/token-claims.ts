import { BulkheadError } from "../errors.ts";
import { TokenError } from "./open-session.ts";
import { canonicalTenant, type TenantKind } from "./tenant-scope.ts";

/** Where a token says who asks. */
export type ClaimRules = {
  /** The path of the tenant, `app_metadata.tenant_id` unless said otherwise. */
  tenantClaim?: string | undefined;
  /** The path of the person, `sub` unless said otherwise. */
  actorClaim?: string | undefined;
  tenantKind?: TenantKind | undefined;
};

/** Claims that their user writes: naming a tenant there would let everybody choose one. */
const WRITABLE = /^(user_metadata|raw_user_meta_data)(\.|$)/;

/**
 * Read rules once, when a verifier is made.
 *
 * @throws BulkheadError `BH_CLAIM`, kind `usage`, for a claim that users can write, or no path at all.
 */
export function claimReader(
  rules: ClaimRules,
): (claims: Record<string, unknown>) => { tenantId: string; actor: string } {
  const tenantPath = parsePath(rules.tenantClaim ?? "app_metadata.tenant_id");
  const actorPath = parsePath(rules.actorClaim ?? "sub");
  return (claims) => {
    // The project's own keys are signed like its users' tokens; they are nobody's session.
    const { role } = claims;
    if (role !== undefined && role !== "authenticated") throw new TokenError("it is no user's");
    const actor = at(claims, actorPath);
    if (typeof actor !== "string" || actor === "") throw new TokenError("it names nobody");
    const tenantId = canonicalTenant(rules.tenantKind ?? "text", at(claims, tenantPath));
    if (tenantId === undefined) {
      throw new BulkheadError(
        "BH_TOKEN_TENANT",
        `Cannot accept the token: its claim ${tenantPath.join(".")} is no tenant`,
        {
          kind: "refused",
          hint: "Set it for the user, e.g. in auth.users.raw_app_meta_data or by an auth hook.",
        },
      );
    }
    return { tenantId, actor };
  };
}

function parsePath(path: unknown): string[] {
  if (
    typeof path === "string" && /^[^.\s]+(\.[^.\s]+)*$/.test(path) && !WRITABLE.test(path)
  ) return path.split(".");
  throw new BulkheadError(
    "BH_CLAIM",
    "Cannot read a claim: users can write it, or it has no path",
    {
      kind: "usage",
      hint: 'Name a claim that the project alone writes, e.g. "app_metadata.tenant_id".',
    },
  );
}

function at(claims: Record<string, unknown>, path: string[]): unknown {
  let value: unknown = claims;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
