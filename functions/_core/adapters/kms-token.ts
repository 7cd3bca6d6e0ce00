import * as z from "zod";
import { callKms, kmsAnswer, type KmsTransport } from "./kms-call.ts";

const granted = z.object({ access_token: z.string().min(1), expires_in: z.coerce.number() });
const refused = z.object({ error: z.string() });

/** Where an access token is had, by which form. */
export interface TokenGrant {
  /** The key it is for, for errors. */
  readonly name: string;
  readonly url: string;
  readonly form: () => Promise<Record<string, string>>;
}

/**
 * An OAuth access token, asked for when it is needed and again a minute before it ends.
 *
 * @example
 * const token = accessToken({ name, url, form }, transport);
 * const headers = { authorization: `Bearer ${await token()}` };
 */
export function accessToken(grant: TokenGrant, transport: KmsTransport): () => Promise<string> {
  const now = transport.now ?? (() => new Date());
  let held: { token: string; until: number } | undefined;
  return async () => {
    if (held && now().getTime() < held.until) return held.token;
    const body = await callKms({
      name: grant.name,
      action: "sign in for",
      request: async () =>
        new Request(grant.url, {
          method: "POST",
          headers: { "content-type": "application/x-www-form-urlencoded" },
          body: new URLSearchParams(await grant.form()).toString(),
        }),
      judge: (_status, answer) => ({
        verdict: "denied",
        code: refused.safeParse(answer).data?.error ?? "",
      }),
    }, transport);
    const answer = granted.safeParse(body);
    if (!answer.success) throw kmsAnswer(grant.name, "it holds no access token");
    const { access_token: token, expires_in: seconds } = answer.data;
    held = { token, until: now().getTime() + (seconds - 60) * 1000 };
    return token;
  };
}
