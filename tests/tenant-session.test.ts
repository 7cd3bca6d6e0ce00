import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import express from "express";
import { Hono } from "hono";
import { decodeJwt, exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import {
  sessionOf,
  tenantSession as expressSession,
} from "../functions/_core/adapters/tenant-express.ts";
import {
  type TenantEnv,
  tenantSession as honoSession,
} from "../functions/_core/adapters/tenant-hono.ts";
import { jwtVerifier, mintServiceToken } from "../functions/_core/adapters/tenant-jwt.ts";
import { openSession } from "../functions/_core/service/open-session.ts";
import { loose, OTHER, OWN } from "./support/recorded-client.ts";

const SECRET = "a-secret-of-this-test-run-of-32-bytes-and-more";
const bytes = (text: string) => new TextEncoder().encode(text);
const claims = (tenant: unknown = OWN) => ({
  sub: "ada",
  role: "authenticated",
  app_metadata: { tenant_id: tenant },
  user_metadata: { tenant_id: OTHER },
});

type Change = (token: SignJWT) => SignJWT;
async function hs256(
  payload: object = claims(),
  change: Change = (token) => token,
  secret = SECRET,
) {
  const token = new SignJWT({ ...payload }).setProtectedHeader({ alg: "HS256" })
    .setAudience("authenticated").setExpirationTime("5 minutes");
  return await change(token).sign(bytes(secret));
}
const refused = { code: "BH_TOKEN", status: 401 };

describe("jwtVerifier()", () => {
  test("reads tenant and actor from a token that the project signed", async () => {
    const verify = jwtVerifier({ secret: SECRET, tenantKind: "uuid" });
    assert.deepEqual(await verify(await hs256()), { tenantId: OWN, actor: "ada" });
    const upper = await hs256(claims(OWN.toUpperCase()));
    assert.equal((await verify(upper)).tenantId, OWN);
    const own = jwtVerifier({ secret: SECRET, tenantClaim: "org.id", actorClaim: "email" });
    const custom = await hs256({ org: { id: 12 }, email: "ada@example.com" });
    assert.deepEqual(await own(custom), { tenantId: "12", actor: "ada@example.com" });
  });

  test("refuses tokens that are forged, expired, for somebody else, or no user's", async () => {
    const verify = jwtVerifier({ secret: SECRET, issuer: "https://auth.example" });
    const good: Change = (token) => token.setIssuer("https://auth.example");
    await verify(await hs256(claims(), good));
    const [head = "", payload = "", signature = ""] = (await hs256(claims(), good)).split(".");
    const swapped = Buffer.from(
      JSON.stringify({ ...decodeJwt(`${head}.${payload}.x`), ...claims(OTHER) }),
    );
    const tokens: Record<string, string> = {
      "another secret": await hs256(claims(), good, `${SECRET}!`),
      "another payload": `${head}.${swapped.toString("base64url")}.${signature}`,
      "no signature": `${head}.${payload}.`,
      "alg none": new UnsecuredJWT(claims()).setIssuer("https://auth.example")
        .setAudience("authenticated").setExpirationTime("5 minutes").encode(),
      "expired": await hs256(claims(), (token) => good(token).setExpirationTime("-1 minute")),
      "not yet": await hs256(claims(), (token) => good(token).setNotBefore("5 minutes")),
      "no expiry": await new SignJWT(claims()).setProtectedHeader({ alg: "HS256" })
        .setAudience("authenticated").setIssuer("https://auth.example").sign(bytes(SECRET)),
      "another audience": await hs256(claims(), (token) => good(token).setAudience("anon")),
      "another issuer": await hs256(claims(), (token) => token.setIssuer("https://evil.example")),
      "HS512": await new SignJWT(claims()).setProtectedHeader({ alg: "HS512" })
        .setAudience("authenticated").setIssuer("https://auth.example").setExpirationTime(
          "5 minutes",
        )
        .sign(bytes(SECRET.repeat(2))),
      "service_role": await hs256({ ...claims(), role: "service_role" }, good),
      "anon": await hs256({ ...claims(), role: "anon" }, good),
      "nobody": await hs256({ ...claims(), sub: "" }, good),
      "an empty string": "",
      "three dots": "...",
      "a list": "[]",
    };
    for (const [name, token] of Object.entries(tokens)) {
      await assert.rejects(verify(token), refused, name);
    }
  });

  test("refuses a token whose tenant is missing or malformed, and never looks at user_metadata", async () => {
    const verify = jwtVerifier({ secret: SECRET, tenantKind: "uuid" });
    for (const tenant of [undefined, null, "", "acme", [OWN], { id: OWN }, `${OWN} `, true]) {
      await assert.rejects(verify(await hs256(claims(tenant ?? null))), {
        code: "BH_TOKEN_TENANT",
        status: 403,
      });
    }
    for (
      const tenantClaim of [
        "user_metadata.tenant_id",
        "user_metadata",
        "raw_user_meta_data.x",
        "",
        "a..b",
        ".",
      ]
    ) {
      assert.throws(() => jwtVerifier({ secret: SECRET, tenantClaim }), { code: "BH_CLAIM" });
    }
    const inherited = jwtVerifier({ secret: SECRET, tenantClaim: "__proto__.x" });
    await assert.rejects(inherited(await hs256()), { code: "BH_TOKEN_TENANT" });
  });

  test("takes no short secret, and no address that is none", () => {
    assert.throws(() => jwtVerifier({ secret: "short" }), { code: "BH_CLAIM", kind: "usage" });
    assert.throws(() => jwtVerifier({ secret: "" }), { code: "BH_CLAIM" });
    assert.throws(() => jwtVerifier({ jwksUrl: "keys" }), { code: "BH_CLAIM" });
  });

  for (const alg of ["ES256", "RS256"] as const) {
    test(`verifies ${alg} with published keys, and takes none of them for a secret`, async () => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      const jwk: JWK = { ...await exportJWK(publicKey), alg, kid: "one" };
      const server = createServer((_, response) =>
        response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: [jwk] }))
      );
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
      try {
        const token = await new SignJWT(claims()).setProtectedHeader({ alg, kid: "one" })
          .setAudience("authenticated").setExpirationTime("5 minutes").sign(privateKey);
        for (const verify of [jwtVerifier({ jwksUrl }), jwtVerifier({ jwks: { keys: [jwk] } })]) {
          assert.deepEqual(await verify(token), { tenantId: OWN, actor: "ada" });
          await assert.rejects(
            verify(await hs256(claims(), (t) => t, JSON.stringify(jwk))),
            refused,
          );
          const stranger = await generateKeyPair(alg);
          const forged = await new SignJWT(claims()).setProtectedHeader({ alg, kid: "one" })
            .setAudience("authenticated").setExpirationTime("5 minutes").sign(stranger.privateKey);
          await assert.rejects(verify(forged), refused);
        }
        await assert.rejects(jwtVerifier({ secret: SECRET })(token), refused);
      } finally {
        server.close();
        server.closeAllConnections();
      }
      const away = jwtVerifier({ jwksUrl });
      await assert.rejects(away(await hs256()), (error) => /^BH_TOKEN/.test(loose(error).code));
    });
  }
});

describe("mintServiceToken()", () => {
  test("makes a token of bulkhead_service that opens no user's session", async () => {
    const token = await mintServiceToken({ secret: SECRET, actor: "billing", minutes: 5 });
    const { role, sub, exp = 0, iat = 0 } = decodeJwt(token);
    assert.deepEqual([role, sub, exp - iat], ["bulkhead_service", "billing", 300]);
    await assert.rejects(jwtVerifier({ secret: SECRET })(token), refused);
  });
});

describe("openSession()", () => {
  const options = { verify: jwtVerifier({ secret: SECRET }), tenantKind: "uuid" as const };

  test("takes a bearer token, however its scheme is written, and nothing else", async () => {
    const token = await hs256();
    for (const header of [`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`]) {
      const opened = await openSession({ ...options, requestId: () => "req-1" }, header);
      assert.deepEqual(opened, {
        ok: true,
        session: { tenantId: OWN, actor: "ada", requestId: "req-1" },
      });
    }
    for (
      const header of [
        null,
        undefined,
        "",
        token,
        `Basic ${token}`,
        `Bearer ${token} x`,
        `Bearer ${token},${token}`,
      ]
    ) {
      const opened = await openSession(options, header);
      assert.equal(opened.ok, false, String(header));
    }
  });

  test("answers 503 when the verifier fails, and logs no token", async () => {
    const log: unknown[] = [];
    const opened = await openSession({
      ...options,
      log: (entry) => log.push(entry),
      verify: (token) => {
        throw new RangeError(token);
      },
    }, `Bearer ${await hs256()}`);
    assert.equal(!opened.ok && opened.status, 503);
    assert.doesNotMatch(JSON.stringify([opened, log]), /eyJ/);
  });
});

describe("the middlewares", () => {
  const options = { verify: jwtVerifier({ secret: SECRET }), tenantKind: "uuid" as const };
  const hono = () => {
    const app = new Hono<TenantEnv>();
    app.use(honoSession(options));
    app.get("/", (c) => c.json(c.get("session")));
    return (headers: Record<string, string>) => app.request("/", { headers });
  };
  const overExpress = async (headers: Record<string, string>) => {
    const app = express();
    app.use(expressSession(options));
    app.get("/", (req, res) => {
      res.locals["session"] = { tenantId: OTHER };
      res.json({ ...sessionOf(req), same: sessionOf(res) === sessionOf(req) });
    });
    const server = app.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers });
      return new Response(await response.text(), response);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  };

  for (const [name, ask] of [["Hono", hono()], ["Express", overExpress]] as const) {
    test(`${name}: takes the tenant from the token, whatever the headers say`, async () => {
      const response = await ask({
        authorization: `Bearer ${await hs256()}`,
        "x-tenant-id": OTHER,
        "x-actor": "eve",
        "x-request-id": "hers",
      });
      assert.equal(response.status, 200);
      const body = await response.json();
      assert.equal(body.tenantId, OWN);
      assert.equal(body.actor, "ada");
      assert.notEqual(body.requestId, "hers");
    });

    test(`${name}: runs no handler without a valid token of a tenant`, async () => {
      for (
        const [authorization, status] of [
          ["", 401],
          ["Bearer nonsense", 401],
          [`Bearer ${await hs256(claims(), (token) => token.setExpirationTime("-1 minute"))}`, 401],
          [`Bearer ${await hs256(claims("acme"))}`, 403],
        ] as const
      ) {
        const response = await ask({ authorization, "x-tenant-id": OWN });
        assert.equal(response.status, status);
        assert.deepEqual(Object.keys(await response.json()), ["code", "message", "requestId"]);
      }
    });
  }

  test("Express: sessionOf() throws where the middleware did not run", () => {
    assert.throws(() => sessionOf(loose({ session: { tenantId: OWN } })), { code: "BH_TOKEN" });
  });
});
