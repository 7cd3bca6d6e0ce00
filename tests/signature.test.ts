import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { BulkheadError } from "../functions/_core/errors.ts";
import { sign, SignatureError, verifySignature } from "../functions/_core/signature.ts";

const secret = "0f".repeat(32);
const now = new Date("2026-11-21T03:00:00Z");
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);

const refused = (state: RegExp) => (error: unknown) =>
  error instanceof SignatureError && error.status === 401 && state.test(error.message);

test("sign() signs the time and the body with the secret's text", async () => {
  const t = now.getTime() / 1000;
  const v1 = createHmac("sha256", secret).update(`${t}.{"a":"é"}`).digest("hex");
  assert.equal(await sign(secret, '{"a":"é"}', now), `t=${t},v1=${v1}`);
});

test("verifySignature() accepts what sign() made, text or bytes, and returns what to remember", async () => {
  const header = await sign(secret, "{}", now);
  const verified = await verifySignature(secret, header, new TextEncoder().encode("{}"), { now });
  assert.equal(verified.signedAt.getTime(), now.getTime());
  assert.equal(header.endsWith(verified.signature), true);
});

test("verifySignature() refuses a tampered body, another time and another secret", async () => {
  const header = await sign(secret, "{}", now);
  await assert.rejects(verifySignature(secret, header, "{ }", { now }), refused(/does not match/));
  const moved = header.replace(/t=\d+/, `t=${now.getTime() / 1000 + 1}`);
  await assert.rejects(verifySignature(secret, moved, "{}", { now }), refused(/does not match/));
  await assert.rejects(
    verifySignature("f0".repeat(32), header, "{}", { now }),
    refused(/does not match/),
  );
});

test("verifySignature() refuses after 300 seconds, and from the future", async () => {
  const header = await sign(secret, "{}", now);
  await verifySignature(secret, header, "{}", { now: later(300) });
  await assert.rejects(
    verifySignature(secret, header, "{}", { now: later(301) }),
    refused(/expired/),
  );
  await assert.rejects(
    verifySignature(secret, header, "{}", { now: later(-301) }),
    refused(/future/),
  );
});

test("verifySignature() refuses a missing and a malformed header", async () => {
  await assert.rejects(verifySignature(secret, null, "{}", { now }), refused(/no signature/));
  for (const header of ["x", "t=1,v1=zz", "t=1", `t=,v1=${"a".repeat(64)}`, "v1=1,t=1"]) {
    await assert.rejects(verifySignature(secret, header, "{}", { now }), refused(/malformed/));
  }
});

test("sign() and verifySignature() refuse a short secret", async () => {
  const short = (error: unknown) =>
    error instanceof BulkheadError && error.code === "BH_HMAC_SECRET";
  await assert.rejects(sign("", "{}", now), short);
  await assert.rejects(verifySignature("short", "t=1,v1=x", "{}", { now }), short);
});
