import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  verify,
} from "node:crypto";

/** A request as it arrived, and what is answered. */
export type KmsRequest = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
};
export type KmsReply = { status: number; body: unknown; headers?: Record<string, string> };
type Vendor = (request: KmsRequest) => KmsReply;

export const AWS = {
  arn: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  keyId: "AKIDEXAMPLE",
  secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  session: "a/session+token==",
};
export const GCP = {
  key: "projects/acme-1/locations/europe-west3/keyRings/backups/cryptoKeys/bulkhead",
  email: "bulkhead@acme-1.iam.gserviceaccount.com",
  account: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
export const AZURE = {
  key: "https://acme.vault.azure.net/keys/bulkhead/0123456789abcdef0123456789abcdef",
  tenant: "8eaef023-2b34-4da1-9baa-8bc8c9d6a490",
  client: "app-1",
  secret: "its~secret/with+signs",
};

/** State of the keys that a test may change. */
export type KmsState = { disabled: boolean; missing: boolean };

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

function seal(key: Buffer, plain: Buffer, aad: string): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(aad));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function unseal(key: Buffer, sealed: Buffer, aad: string): Buffer | null {
  try {
    const cipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12))
      .setAAD(Buffer.from(aad)).setAuthTag(sealed.subarray(-16));
    return Buffer.concat([cipher.update(sealed.subarray(12, -16)), cipher.final()]);
  } catch {
    return null;
  }
}

/** Signature Version 4 from the vendor's description, over the headers that the request says are signed. */
function awsSignature({ method, path, headers, body }: KmsRequest): string | null {
  const [, credential = "", signed = "", signature = ""] =
    /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/
      .exec(headers["authorization"] ?? "") ?? [];
  const [keyId, date = "", region = "", service = "", end] = credential.split("/");
  const time = headers["x-amz-date"] ?? "";
  const names = signed.split(";");
  const mustSign = ["host", "x-amz-date", "x-amz-target"].concat(
    headers["x-amz-security-token"] === undefined ? [] : ["x-amz-security-token"],
  );
  if (!mustSign.every((name) => names.includes(name))) return "IncompleteSignatureException";
  const at = Date.parse(
    time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
  if (!(Math.abs(Date.now() - at) < 900_000) || !time.startsWith(date)) {
    return "InvalidSignatureException";
  }
  if (keyId !== AWS.keyId) return "UnrecognizedClientException";
  const scope = `${date}/${region}/${service}/${end}`;
  if (scope !== `${date}/eu-central-1/kms/aws4_request`) return "InvalidSignatureException";
  const canonical = [
    method,
    path,
    "",
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    "",
    signed,
    sha256(body),
  ].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  const key = [date, region, service, "aws4_request"].reduce<Buffer>(
    (made, part) => createHmac("sha256", made).update(part).digest(),
    Buffer.from(`AWS4${AWS.secret}`),
  );
  const expected = createHmac("sha256", key).update(toSign).digest("hex");
  return expected === signature ? null : "InvalidSignatureException";
}

/** AWS KMS as documented: POST /, the operation in x-amz-target, errors as 400 with `__type`. */
export function awsVendor(state: KmsState, options: { withSession: () => boolean }): Vendor {
  const secret = randomBytes(32);
  const refuse = (type: string): KmsReply => ({ status: 400, body: { __type: type } });
  return (request) => {
    const { method, path, headers } = request;
    if (method !== "POST" || path !== "/") return { status: 404, body: {} };
    if (headers["content-type"] !== "application/x-amz-json-1.1") {
      return refuse("SerializationException");
    }
    const bad = awsSignature(request);
    if (bad) return refuse(bad);
    if (options.withSession() && headers["x-amz-security-token"] !== AWS.session) {
      return refuse("ExpiredTokenException");
    }
    const body = JSON.parse(request.body);
    if (body.KeyId !== AWS.arn || state.missing) return refuse("NotFoundException");
    if (state.disabled) return refuse("com.amazonaws.kms#DisabledException");
    const context = JSON.stringify(body.EncryptionContext);
    if (headers["x-amz-target"] === "TrentService.Encrypt") {
      const blob = seal(secret, Buffer.from(body.Plaintext, "base64"), context);
      return { status: 200, body: { KeyId: AWS.arn, CiphertextBlob: blob.toString("base64") } };
    }
    const plain = unseal(secret, Buffer.from(body.CiphertextBlob, "base64"), context);
    if (!plain) return refuse("InvalidCiphertextException");
    return { status: 200, body: { KeyId: AWS.arn, Plaintext: plain.toString("base64") } };
  };
}

/** Google Cloud KMS and its token endpoint as documented; errors as `{ error: { code, status } }`. */
export function gcpVendor(state: KmsState, tokens: Set<string>): Vendor {
  const secret = randomBytes(32);
  const refuse = (code: number, status: string): KmsReply => ({
    status: code,
    body: { error: { code, status, message: "in the vendor's words" } },
  });
  return ({ method, path, headers, body: text }) => {
    if (path === "/token") {
      const form = new URLSearchParams(text);
      const [head = "", claims = "", signature = ""] = (form.get("assertion") ?? "").split(".");
      const { iss, scope, aud, iat, exp } = JSON.parse(
        Buffer.from(claims, "base64url").toString(),
      );
      const isSigned = verify(
        "sha256",
        Buffer.from(`${head}.${claims}`),
        createPublicKey(GCP.account.privateKey),
        Buffer.from(signature, "base64url"),
      );
      const holds = isSigned && iss === GCP.email && aud.endsWith("/token") &&
        scope === "https://www.googleapis.com/auth/cloudkms" && exp - iat <= 3600 &&
        Math.abs(iat - Date.now() / 1000) < 7200 &&
        form.get("grant_type") === "urn:ietf:params:oauth:grant-type:jwt-bearer";
      if (!holds) return { status: 400, body: { error: "invalid_grant" } };
      const token = `ya29.${randomBytes(8).toString("hex")}`;
      tokens.add(token);
      return { status: 200, body: { access_token: token, expires_in: 3599, token_type: "Bearer" } };
    }
    if (!tokens.has(headers["authorization"]?.replace(/^Bearer /, "") ?? "")) {
      return refuse(401, "UNAUTHENTICATED");
    }
    const [name, operation] = path.replace(/^\/v1\//, "").split(":");
    if (method !== "POST" || headers["content-type"] !== "application/json") {
      return refuse(400, "INVALID_ARGUMENT");
    }
    if (name !== GCP.key || state.missing) return refuse(404, "NOT_FOUND");
    if (state.disabled) return refuse(400, "FAILED_PRECONDITION");
    const body = JSON.parse(text);
    const aad = Buffer.from(body.additionalAuthenticatedData ?? "", "base64").toString();
    if (operation === "encrypt") {
      const sealed = seal(secret, Buffer.from(body.plaintext, "base64"), aad);
      const version = `${GCP.key}/cryptoKeyVersions/3`;
      return { status: 200, body: { name: version, ciphertext: sealed.toString("base64") } };
    }
    const plain = unseal(secret, Buffer.from(body.ciphertext, "base64"), aad);
    if (operation !== "decrypt" || !plain) return refuse(400, "INVALID_ARGUMENT");
    return { status: 200, body: { plaintext: plain.toString("base64") } };
  };
}

/** Azure Key Vault and Entra's token endpoint as documented; errors as `{ error: { code, innererror } }`. */
export function azureVendor(state: KmsState, tokens: Set<string>): Vendor {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
  const refuse = (status: number, code: string, inner?: string): KmsReply => ({
    status,
    body: {
      error: {
        code,
        message: "in the vendor's words",
        ...(inner ? { innererror: { code: inner } } : {}),
      },
    },
  });
  return ({ method, path, headers, body: text }) => {
    if (path === `/${AZURE.tenant}/oauth2/v2.0/token`) {
      const form = Object.fromEntries(new URLSearchParams(text));
      const holds = form["client_id"] === AZURE.client && form["client_secret"] === AZURE.secret &&
        form["grant_type"] === "client_credentials" &&
        form["scope"] === "https://vault.azure.net/.default";
      if (!holds) return { status: 401, body: { error: "invalid_client" } };
      const token = `eyJ0.${randomBytes(8).toString("hex")}`;
      tokens.add(token);
      return { status: 200, body: { access_token: token, expires_in: "3599" } };
    }
    if (!tokens.has(headers["authorization"]?.replace(/^Bearer /, "") ?? "")) {
      return refuse(401, "Unauthorized");
    }
    const { pathname, searchParams } = new URL(path, "http://vault");
    const at = new URL(AZURE.key).pathname;
    const operation = pathname.slice(at.length + 1);
    if (!pathname.startsWith(`${at}/`) || state.missing) return refuse(404, "KeyNotFound");
    if (state.disabled) return refuse(403, "Forbidden", "KeyDisabled");
    const { alg, value } = JSON.parse(text);
    const isAsked = method === "POST" && searchParams.get("api-version") === "7.4" &&
      alg === "RSA-OAEP-256" && /^[\w-]+$/.test(value);
    if (!isAsked) return refuse(400, "BadParameter");
    const bytes = Buffer.from(value, "base64url");
    try {
      const result = operation === "wrapkey"
        ? publicEncrypt({ key: rsa.publicKey, ...padding }, bytes)
        : privateDecrypt({ key: rsa.privateKey, ...padding }, bytes);
      return { status: 200, body: { kid: AZURE.key, value: result.toString("base64url") } };
    } catch {
      return refuse(400, "BadParameter");
    }
  };
}
