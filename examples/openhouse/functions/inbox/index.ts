import process from "node:process";
import { createTenantClient } from "../../../../functions/_core/adapters/supabase.ts";
import { jwtVerifier, openSession } from "../../../../functions/_core/adapters/tenant-jwt.ts";
import { BulkheadError } from "../../../../functions/_core/errors.ts";
import type { Database } from "../../database.ts";

const env = (name: string): string => {
  const value = process.env[name];
  if (!value) throw new Error(`Cannot serve the inbox: ${name} is not set`);
  return value;
};
const url = env("SUPABASE_URL");
const key = env("SUPABASE_SERVICE_ROLE_KEY");
const verify = jwtVerifier({ secret: env("OPENHOUSE_JWT_SECRET") });

/** `GET /inbox` reads, `POST /inbox` writes: the tenant is the token's, whatever the request says besides. */
export default {
  async fetch(request: Request): Promise<Response> {
    const options = { verify, tenantKind: "uuid" as const };
    const opened = await openSession(options, request.headers.get("authorization"));
    if (!opened.ok) return Response.json(opened.body, { status: opened.status });
    const client = createTenantClient<Database>({ url, key, ...opened.session });
    if (request.method !== "POST") {
      return Response.json(await client.from("messages").select("id, tenant_id, body"));
    }
    try {
      return Response.json(await client.from("messages").insert(await request.json()));
    } catch (error) {
      if (!(error instanceof BulkheadError)) throw error;
      return Response.json({ code: error.code, message: error.message }, { status: error.status });
    }
  },
};
