import { z } from "zod";

/** What the service needs; it does not start without. */
export const settings = z.object({
  SUPABASE_URL: z.string().url(),
  SUPABASE_ANON_KEY: z.string().min(1),
  SUPABASE_JWKS_URL: z.string().url(),
}).parse(process.env);
