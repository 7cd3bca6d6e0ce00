import "server-only";
import { cookies } from "next/headers";
import { redirect } from "next/navigation";

/** Keep the session where no script of the page can read it. */
export async function startSession(access: string) {
  const jar = await cookies();
  jar.set("session", access, { httpOnly: true, secure: true, sameSite: "lax", path: "/", maxAge: 900 });
}

/** The session of the request; without one the reader signs in first. */
export async function requireSession(): Promise<string> {
  const session = (await cookies()).get("session")?.value;
  if (!session) redirect("/login");
  return session;
}
