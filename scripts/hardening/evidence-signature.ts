import { createPrivateKey, type KeyObject } from "node:crypto";
import { BulkheadError } from "../../functions/_core/errors.ts";

/**
 * The key that signs an evidence folder, from the text of BULKHEAD_EVIDENCE_KEY; undefined without one.
 *
 * @example
 * const signer = signingKey(process.env["BULKHEAD_EVIDENCE_KEY"]);
 * @throws BulkheadError `BH_EVIDENCE_KEY` when it is no Ed25519 private key.
 */
export function signingKey(pem: string | undefined): KeyObject | undefined {
  if (!pem) return undefined;
  const refused = (state: string) =>
    new BulkheadError("BH_EVIDENCE_KEY", `Cannot read BULKHEAD_EVIDENCE_KEY: ${state}`, {
      kind: "usage",
      hint: "make one with openssl genpkey -algorithm ed25519, and set the PEM itself",
    });
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // Without the cause: it may quote the key.
    throw refused("it is not a private key in PEM");
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw refused(`it is ${key.asymmetricKeyType}, not ed25519`);
  }
  return key;
}
