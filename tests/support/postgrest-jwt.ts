import { createHmac, timingSafeEqual } from "node:crypto";
import { RequestProblem } from "./postgrest-sql.ts";

const base64url = (value: string) => Buffer.from(value).toString("base64url");
const mac = (text: string, secret: string) => createHmac("sha256", secret).update(text).digest();

/** A token of these claims, HS256. */
export function sign(claims: Record<string, unknown>, secret: string): string {
  const text = `${base64url(JSON.stringify({ alg: "HS256", typ: "JWT" }))}.${
    base64url(JSON.stringify(claims))
  }`;
  return `${text}.${mac(text, secret).toString("base64url")}`;
}

/** The verified claims; no token at all is anon, anything that does not verify is 401. */
export function claimsOf(
  authorization: string | undefined,
  secret: string,
): Record<string, unknown> {
  if (!authorization) return {};
  const [, head = "", payload = "", signature = ""] =
    /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/i.exec(authorization) ?? [];
  try {
    const given = Buffer.from(signature, "base64url");
    const expected = mac(`${head}.${payload}`, secret);
    const { alg } = JSON.parse(Buffer.from(head, "base64url").toString());
    const claims: Record<string, unknown> = JSON.parse(
      Buffer.from(payload, "base64url").toString(),
    );
    const fresh = typeof claims["exp"] !== "number" || claims["exp"] > Date.now() / 1000;
    if (
      alg === "HS256" && given.length === expected.length && timingSafeEqual(given, expected) &&
      fresh
    ) return claims;
  } catch {
    // answered below: no detail of a bad token is anyone's business
  }
  throw new RequestProblem(401, "PGRST301", "No suitable key or wrong key type");
}
