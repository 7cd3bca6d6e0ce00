import { type Kek, kekFromBase64 } from "../keys/kek.ts";
import { kmsKek, type KmsKey } from "../keys/kms-kek.ts";
import { type KekEnv, serviceAccount } from "../keys/kms-variables.ts";
import type { KmsTransport } from "./kms-call.ts";

/**
 * The key-encryption key that the environment names, as {@link kekVariables} has checked it. A service is not asked
 * before something is to be wrapped or unwrapped.
 *
 * @example
 * const kek = await openKek(readEnv(process.env, z.object(kekVariables(process.env))));
 */
export async function openKek(env: KekEnv, transport: KmsTransport = {}): Promise<Kek> {
  const name = env.BULKHEAD_KMS;
  if (!name) return await kekFromBase64(env.BULKHEAD_KEK ?? "");
  // Most use no service: its client is loaded by those who do.
  return await kmsKek(name, await open(name, env, transport));
}

async function open(name: string, env: KekEnv, transport: KmsTransport): Promise<KmsKey> {
  const key = name.slice(name.indexOf(":") + 1);
  const endpoint = env.BULKHEAD_KMS_ENDPOINT;
  const token = env.BULKHEAD_KMS_TOKEN;
  if (name.startsWith("aws:")) {
    const { awsKms } = await import("./kms-aws.ts");
    return awsKms({
      ...transport,
      arn: key,
      endpoint,
      accessKeyId: env.AWS_ACCESS_KEY_ID ?? "",
      secretAccessKey: env.AWS_SECRET_ACCESS_KEY ?? "",
      sessionToken: env.AWS_SESSION_TOKEN,
    });
  }
  if (name.startsWith("gcp:")) {
    const { gcpKms } = await import("./kms-gcp.ts");
    const credentials = token
      ? { token }
      : { account: serviceAccount.parse(JSON.parse(env.GOOGLE_CREDENTIALS ?? "")) };
    return gcpKms({ ...transport, key, endpoint, credentials });
  }
  const { azureKms } = await import("./kms-azure.ts");
  const credentials = token ? { token } : {
    application: {
      tenantId: env.AZURE_TENANT_ID ?? "",
      clientId: env.AZURE_CLIENT_ID ?? "",
      clientSecret: env.AZURE_CLIENT_SECRET ?? "",
      authority: env.AZURE_AUTHORITY_HOST,
    },
  };
  return azureKms({ ...transport, key, endpoint, credentials });
}
