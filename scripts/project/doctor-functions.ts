import { randomUUID } from "node:crypto";
import * as z from "zod";
import { sign, SIGNATURE_HEADER } from "../../functions/_core/signature.ts";
import type { Vault } from "./doctor-database.ts";
import { fail, type Finding, pass, unknown } from "./finding.ts";
import { FUNCTION_NAMES } from "./kit.ts";

const TIMEOUT_MS = 10_000;

/**
 * Ask each function, signed as the database signs, and start nothing: `backup` and `alert` get an action that they do
 * not have, and refuse it only after the signature was good; `status` is asked whether it lives.
 *
 * @example
 * findings.push(...await pingFunctions(vault, { fetch, now: new Date() }));
 */
export async function pingFunctions(
  vault: Vault,
  options: { fetch: typeof fetch; now: Date },
): Promise<Finding[]> {
  const { url, secret } = vault;
  if (url === null || secret === null || secret.length < 43) {
    return FUNCTION_NAMES.map((name) =>
      unknown(`function_${name}`, "its address or the secret is not in Vault")
    );
  }
  return await Promise.all(
    FUNCTION_NAMES.map((name) => ping(name, { url, secret }, options)),
  );
}

const refusal = z.object({ code: z.string() });

async function ping(
  name: typeof FUNCTION_NAMES[number],
  vault: { url: string; secret: string },
  options: { fetch: typeof fetch; now: Date },
): Promise<Finding> {
  const finding = `function_${name}`;
  const base = `${vault.url.replace(/\/+$/, "")}/${name}`;
  const isStatus = name === "status";
  const body = isStatus ? "GET /healthz" : JSON.stringify({ action: "ping", nonce: randomUUID() });
  let status: number;
  let code: string;
  try {
    const response = await options.fetch(isStatus ? `${base}/healthz` : base, {
      method: isStatus ? "GET" : "POST",
      headers: {
        [SIGNATURE_HEADER]: await sign(vault.secret, body, options.now),
        ...(isStatus ? {} : { "content-type": "application/json" }),
      },
      ...(isStatus ? {} : { body }),
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    status = response.status;
    const parsed = refusal.safeParse(await response.json().catch(() => null));
    code = parsed.success ? parsed.data.code : "";
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const state = cause instanceof Error ? cause.message || String(cause) : String(cause);
    return fail(
      finding,
      `${base} does not answer: ${state}`,
      `select vault.update_secret((select id from vault.secrets where name = 'bulkhead_functions_url'), 'https://<project>.supabase.co/functions/v1');`,
    );
  }
  if (isStatus ? status === 200 : code === "BH_BODY") {
    return pass(finding, "answers, and knows the secret");
  }
  if (code === "BH_SIGNATURE") {
    return fail(
      finding,
      "its secret is not the one in Vault",
      "npx supabase secrets set BULKHEAD_HMAC_SECRET=<the Vault secret bulkhead_hmac_secret>",
    );
  }
  if (code.startsWith("BH_")) {
    return fail(
      finding,
      `answers ${status} ${code}: a secret of it is missing, or its database is away`,
      `npx supabase secrets list`,
    );
  }
  return fail(
    finding,
    `${base} answers ${status}, not as the kit does`,
    `npx supabase functions deploy ${name}`,
  );
}
