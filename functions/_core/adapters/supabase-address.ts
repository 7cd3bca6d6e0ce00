import * as z from "zod";
import { BulkheadError } from "../errors.ts";
import type { Credentials } from "../service/context-headers.ts";

/** Where a client sends its requests, and what lets them in. */
export type Address = {
  url: string;
  /** The service key; beside a `serviceToken` any key that the gateway takes. */
  key: string;
  /** A token of the role `bulkhead_service`, which obeys row level security: with it no request arrives as service_role. */
  serviceToken?: string | undefined;
  fetch?: typeof fetch | undefined;
};

/** An address that was looked at. */
export type UsableAddress = Address & { fetch: typeof fetch };

const SECRET = /^[\x21-\x7e]+$/;
const address = z.url({ protocol: /^https?$/ });

/**
 * An address that can be used, or throw. Neither key nor token is ever part of an error.
 *
 * @throws BulkheadError `BH_CLIENT`, kind `usage`.
 */
export function parseAddress(given: Address): UsableAddress {
  const url = address.safeParse(given.url);
  if (!url.success || /[?#]|\/\/[^/]*@/.test(url.data)) {
    throw unusable("url", "https://<project>.supabase.co");
  }
  if (typeof given.key !== "string" || !SECRET.test(given.key)) {
    throw unusable("key", "the service key");
  }
  if (
    given.serviceToken !== undefined &&
    (typeof given.serviceToken !== "string" || !SECRET.test(given.serviceToken))
  ) {
    throw unusable("serviceToken", "a token of the role bulkhead_service, or leave it out");
  }
  return {
    url: url.data.replace(/\/+$/, ""),
    key: given.key,
    serviceToken: given.serviceToken,
    fetch: given.fetch ?? fetch,
  };
}

/** The headers that let a request in. */
export function credentialsOf(
  { key, serviceToken }: Address,
): Credentials & { authorization: string } {
  return { apikey: key, authorization: `Bearer ${serviceToken ?? key}` };
}

/** An error about what a client was made with. */
export function unusable(name: string, wanted: string): BulkheadError {
  return new BulkheadError(
    "BH_CLIENT",
    `Cannot make a client with "${name}": it is missing or malformed`,
    { kind: "usage", hint: `Pass ${name}: ${wanted}.` },
  );
}
