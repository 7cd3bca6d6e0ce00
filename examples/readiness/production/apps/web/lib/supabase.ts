import { createServerClient } from "@supabase/ssr";
import { cookies } from "next/headers";

/** The reader's own client on the server; the cookies are the library's own. */
export async function supabase() {
  const jar = await cookies();
  return createServerClient(
    process.env.NEXT_PUBLIC_SUPABASE_URL!,
    process.env.NEXT_PUBLIC_SUPABASE_ANON_KEY!,
    {
      cookies: {
        getAll: () => jar.getAll(),
        setAll: (all) => all.forEach(({ name, value, options }) => jar.set(name, value, options)),
      },
    },
  );
}
