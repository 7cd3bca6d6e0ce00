import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import {
  AWS,
  awsVendor,
  AZURE,
  azureVendor,
  GCP,
  gcpVendor,
  type KmsReply,
  type KmsRequest,
  type KmsState,
} from "./kms-vendors.ts";

export type VendorName = "aws" | "gcp" | "azure";
/** What happens to the next request instead of an answer of the vendor's; `spoil` changes the true answer. */
export type KmsFault = "hang" | "reset" | (Partial<KmsReply> & { text?: string }) | {
  spoil: (reply: KmsReply) => KmsReply;
};

/** The three services behind one address, as their documentation describes them. */
export type KmsServer = AsyncDisposable & {
  url: string;
  /** Every request, in order. */
  requests: KmsRequest[];
  /** One for each of the next requests. */
  faults: KmsFault[];
  state: KmsState;
  /** The variables that lead a command to a vendor. */
  env(vendor: VendorName): Record<string, string>;
};

/**
 * @example
 * await using kms = await startKms();
 * const kek = await openKek(kms.env("aws"));
 */
export async function startKms(): Promise<KmsServer> {
  const state: KmsState = { disabled: false, missing: false };
  const requests: KmsRequest[] = [];
  const faults: KmsFault[] = [];
  const tokens = new Set<string>();
  let withSession = false;
  const vendors = {
    aws: awsVendor(state, { withSession: () => withSession }),
    gcp: gcpVendor(state, tokens),
    azure: azureVendor(state, tokens),
  };
  const server = createServer(async (incoming, outgoing) => {
    const request = await received(incoming);
    requests.push(request);
    const fault = faults.shift();
    if (fault === "hang") return;
    if (fault === "reset") return void incoming.socket.resetAndDestroy();
    let reply = vendors[vendorOf(request)](request);
    if (fault && "spoil" in fault) reply = fault.spoil(reply);
    else if (fault) reply = { ...reply, ...fault };
    const text = fault && "text" in fault ? fault.text : JSON.stringify(reply.body);
    outgoing.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
    outgoing.end(text);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    requests,
    faults,
    state,
    env(vendor) {
      withSession = vendor === "aws";
      return { BULKHEAD_KMS_ENDPOINT: url, ...credentials[vendor](url) };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const credentials: Record<VendorName, (url: string) => Record<string, string>> = {
  aws: () => ({
    BULKHEAD_KMS: `aws:${AWS.arn}`,
    AWS_ACCESS_KEY_ID: AWS.keyId,
    AWS_SECRET_ACCESS_KEY: AWS.secret,
    AWS_SESSION_TOKEN: AWS.session,
  }),
  gcp: (url) => ({
    BULKHEAD_KMS: `gcp:${GCP.key}`,
    GOOGLE_CREDENTIALS: JSON.stringify({
      type: "service_account",
      client_email: GCP.email,
      private_key: GCP.account.privateKey.export({ type: "pkcs8", format: "pem" }),
      private_key_id: "k1",
      token_uri: `${url}/token`,
    }),
  }),
  azure: (url) => ({
    BULKHEAD_KMS: `azure:${AZURE.key}`,
    AZURE_TENANT_ID: AZURE.tenant,
    AZURE_CLIENT_ID: AZURE.client,
    AZURE_CLIENT_SECRET: AZURE.secret,
    AZURE_AUTHORITY_HOST: url,
  }),
};

function vendorOf({ path, headers }: KmsRequest): VendorName {
  if (headers["x-amz-target"] !== undefined) return "aws";
  return path.startsWith("/keys/") || path.includes("/oauth2/") ? "azure" : "gcp";
}

async function received(incoming: IncomingMessage): Promise<KmsRequest> {
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part);
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
  );
  const { method = "", url: path = "" } = incoming;
  return { method, path, headers, body: Buffer.concat(parts).toString() };
}
