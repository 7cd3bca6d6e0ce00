import * as z from "zod";
import type { EnvSource } from "../env.ts";
import { kekVariable } from "./kek.ts";

/** A key by its ARN. An alias would name another key some day, and then nothing unwraps. */
export const AWS_KEY =
  /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z]{2}(?:-[a-z]+)+-\d):\d{12}:key\/[A-Za-z0-9-]{1,64}$/;

/** A key by its resource name, without a version: the service encrypts with the primary one and finds the right one. */
export const GCP_KEY =
  /^projects\/[a-z0-9:.-]+\/locations\/[a-z0-9-]+\/keyRings\/[\w-]{1,63}\/cryptoKeys\/[\w-]{1,63}$/;

/** A version of a key by its identifier: the vault does not say which version unwraps what another one wrapped. */
export const AZURE_KEY =
  /^https:\/\/[a-z0-9-]{3,24}\.(?:[a-z0-9-]+\.)+[a-z]+\/keys\/[A-Za-z0-9-]{1,127}\/[0-9a-f]{32}$/;

const SERVICES = [["aws:", AWS_KEY], ["gcp:", GCP_KEY], ["azure:", AZURE_KEY]] as const;

/** The members of a Google service account's key file that are needed. */
export const serviceAccount = z.object({
  client_email: z.string().min(1),
  private_key: z.string().startsWith("-----BEGIN PRIVATE KEY-----"),
  private_key_id: z.string().optional(),
  token_uri: z.url({ protocol: /^https?$/ }).refine(isPrivate)
    .default("https://oauth2.googleapis.com/token"),
});
export type ServiceAccount = z.infer<typeof serviceAccount>;

/** The variables that say where the key-encryption key is. */
export type KekEnv = { [K in keyof KekSchemas]?: string | undefined };
type KekSchemas = ReturnType<typeof kekVariables>;

/** `BULKHEAD_KMS`: a key of one of the three services. */
export const kmsVariable: z.ZodType<string> = z.string().refine(
  (text) =>
    SERVICES.some(([service, key]) =>
      text.startsWith(service) && key.test(text.slice(service.length))
    ),
  {
    message: "must be aws:arn:aws:kms:<region>:<account>:key/<id>, " +
      "gcp:projects/<p>/locations/<l>/keyRings/<r>/cryptoKeys/<k> or " +
      "azure:https://<vault>.vault.azure.net/keys/<name>/<version>",
  },
);

/**
 * Schemas for `readEnv`: `BULKHEAD_KEK`, or `BULKHEAD_KMS` with its service's credentials; never both, so that nobody
 * has to guess which one wrapped what.
 *
 * @example
 * const env = readEnv(process.env, z.object({ ...storeVariables, ...kekVariables(process.env) }));
 * const kek = await openKek(env);
 */
export function kekVariables(source: EnvSource) {
  const optional: z.ZodType<string | undefined> = z.string().optional();
  const schemas = {
    BULKHEAD_KEK: optional,
    BULKHEAD_KMS: optional,
    BULKHEAD_KMS_ENDPOINT: optional,
    BULKHEAD_KMS_TOKEN: optional,
    AWS_ACCESS_KEY_ID: optional,
    AWS_SECRET_ACCESS_KEY: optional,
    AWS_SESSION_TOKEN: optional,
    GOOGLE_CREDENTIALS: optional,
    AZURE_TENANT_ID: optional,
    AZURE_CLIENT_ID: optional,
    AZURE_CLIENT_SECRET: optional,
    AZURE_AUTHORITY_HOST: optional,
  };
  const kms = source["BULKHEAD_KMS"];
  if (!kms) {
    schemas.BULKHEAD_KEK = kekVariable;
    return schemas;
  }
  const set = (what: string) => z.string(`set it to ${what}`);
  const hasToken = Boolean(source["BULKHEAD_KMS_TOKEN"]);
  schemas.BULKHEAD_KEK = z.undefined("unset it: BULKHEAD_KMS names the key already")
    .optional();
  schemas.BULKHEAD_KMS = kmsVariable;
  schemas.BULKHEAD_KMS_ENDPOINT = privateUrl;
  schemas.AZURE_AUTHORITY_HOST = privateUrl;
  if (kms.startsWith("aws:")) {
    schemas.AWS_ACCESS_KEY_ID = set("the id of an access key");
    schemas.AWS_SECRET_ACCESS_KEY = set("the secret of the access key");
  } else if (hasToken) return schemas;
  else if (kms.startsWith("gcp:")) {
    schemas.GOOGLE_CREDENTIALS = set(
      "the JSON of a service account's key, or set BULKHEAD_KMS_TOKEN",
    ).refine(isAccount, { message: "must be the JSON of a service account's key" });
  } else if (kms.startsWith("azure:")) {
    schemas.AZURE_TENANT_ID = set("the directory's id, or set BULKHEAD_KMS_TOKEN");
    schemas.AZURE_CLIENT_ID = set("the application's id");
    schemas.AZURE_CLIENT_SECRET = set("a secret of the application");
  }
  return schemas;
}

const privateUrl = z.url({ protocol: /^https?$/ })
  .refine(isPrivate, { message: "must be an https:// address" }).optional();

/** Tokens and keys travel encrypted; plain HTTP stays on this machine. */
function isPrivate(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}

function isAccount(text: string): boolean {
  try {
    return serviceAccount.safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}
