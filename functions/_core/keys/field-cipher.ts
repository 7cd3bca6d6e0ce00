import { BulkheadError } from "../errors.ts";
import { canonicalJson, fromBase64, toBase64, utf8 } from "../bytes.ts";
import type { Keyring } from "./keyring.ts";
import { wrappingKey } from "./wrapping-key.ts";

/** The place of an encrypted value; moved elsewhere it does not decrypt. */
export type FieldPlace = {
  /** Qualified, `public.integrations`. */
  readonly table: string;
  readonly column: string;
  /** The row's key as text. */
  readonly row: string;
};

/** Encrypts single values, such as a tenant's integration token, under a key of that tenant and secret class. */
export interface FieldCipher {
  /** `bhf1.<key id>.<base64url>`; the key is made and stored first where there is none. */
  encryptForTenant(
    tenantId: string,
    secretClass: string,
    plaintext: string,
    place: FieldPlace,
  ): Promise<string>;
  /** @throws BulkheadError `BH_FIELD_CORRUPT`, `BH_TENANT_KEY_MISSING` (shredded); kind `integrity`. */
  decryptForTenant(
    tenantId: string,
    secretClass: string,
    value: string,
    place: FieldPlace,
  ): Promise<string>;
  /** False after a rotation: encrypt the value again when you next write it, or by `bulkhead keys re-encrypt`. */
  isCurrent(tenantId: string, secretClass: string, value: string): Promise<boolean>;
}

const VALUE = /^bhf1\.([0-9a-f]{32})\.([A-Za-z0-9_-]+)$/;
const CLASS = /^[a-z][a-z0-9_-]{0,62}$/;

/**
 * Field encryption over a keyring: AES-256-GCM, tenant, class, table, column and row bound as associated data.
 *
 * @example
 * const fields = fieldCipher(await openKeyring({ store, kek }));
 * const place = { table: "public.integrations", column: "token", row: id };
 * const stored = await fields.encryptForTenant(tenantId, "integration-token", token, place);
 */
export function fieldCipher(keyring: Keyring): FieldCipher {
  return {
    async encryptForTenant(tenantId, secretClass, plaintext, place) {
      checkClass(secretClass);
      const { id, bytes } = await keyring.ensureFieldKey(tenantId, secretClass);
      const key = await wrappingKey(bytes);
      const sealed = await key.wrap(utf8(plaintext), context(tenantId, secretClass, place));
      return `bhf1.${id}.${toBase64Url(sealed)}`;
    },
    async decryptForTenant(tenantId, secretClass, value, place) {
      checkClass(secretClass);
      const { keyId, sealed } = parse(value);
      const { bytes } = await keyring.fieldKey(tenantId, secretClass, keyId);
      const key = await wrappingKey(bytes);
      const plain = await key.unwrap(sealed, context(tenantId, secretClass, place));
      if (!plain) throw corrupt("it was changed, or belongs to another place");
      return new TextDecoder("utf-8", { fatal: true }).decode(plain);
    },
    async isCurrent(tenantId, secretClass, value) {
      const { id } = await keyring.fieldKey(tenantId, secretClass);
      return parse(value).keyId === id;
    },
  };
}

const context = (tenant: string, secretClass: string, { table, column, row }: FieldPlace): string =>
  canonicalJson(["bulkhead/v1/field", tenant, secretClass, table, column, row]);

function checkClass(secretClass: string): void {
  if (CLASS.test(secretClass)) return;
  throw new BulkheadError("BH_SECRET_CLASS", `Cannot use "${secretClass}" as a secret class`, {
    kind: "usage",
    hint: "Use lower-case letters, digits, _ and -, such as integration-token",
  });
}

function parse(value: string): { keyId: string; sealed: Uint8Array } {
  const [, keyId, sealed] = VALUE.exec(value) ?? [];
  if (!keyId || !sealed) throw corrupt("it is not bhf1.<key id>.<base64url>");
  return { keyId, sealed: fromBase64(sealed.replaceAll("-", "+").replaceAll("_", "/")) };
}

const toBase64Url = (bytes: Uint8Array): string =>
  toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

const corrupt = (state: string): BulkheadError =>
  new BulkheadError("BH_FIELD_CORRUPT", `Cannot decrypt the field: ${state}`, {
    kind: "integrity",
    hint: "Check tenant, class, table, column and row; else restore the row from a backup",
  });
