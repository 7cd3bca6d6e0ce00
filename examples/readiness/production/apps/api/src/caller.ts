import { createClient } from "@supabase/supabase-js";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { settings } from "./settings.js";

const keys = createRemoteJWKSet(new URL(settings.SUPABASE_JWKS_URL));

/** The caller's own client: what it reads and writes is what the policies allow this person. */
export async function callerOf(authorization: string | undefined) {
  const token = authorization?.replace(/^Bearer /, "") ?? "";
  const { payload } = await jwtVerify(token, keys, { audience: "authenticated" });
  const client = createClient(settings.SUPABASE_URL, settings.SUPABASE_ANON_KEY, {
    global: { headers: { Authorization: `Bearer ${token}` } },
  });
  return { id: payload.sub, client };
}
