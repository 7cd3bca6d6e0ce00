import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** What was sent to deploy one function. */
export type Deployed = { metadata: Record<string, unknown>; files: Record<string, string> };

/** A stand-in for the part of Supabase's management API that `functions deploy` and `secrets set` use. */
export type ManagementApi = AsyncDisposable & {
  /** Flags that send the CLI here. */
  flags: string[];
  env: Record<string, string>;
  functions: Map<string, Deployed>;
  secrets: string[];
  stop(): Promise<void>;
};

/**
 * Start it on a free loopback port; `folder` takes the CLI's profile.
 *
 * @example
 * await using api = await startManagementApi(home);
 * await supabase(project, ["functions", "deploy", "--use-api", ...api.flags], { home, env: api.env });
 */
export async function startManagementApi(folder: string): Promise<ManagementApi> {
  const functions = new Map<string, Deployed>();
  const secrets: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? "/", "http://localhost");
    const slug = url.searchParams.get("slug") ?? "";
    const send = (status: number, json: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(json));
    };
    const made = (name: string) => ({
      ...{ id: name, slug: name, name, version: 1, status: "ACTIVE", verify_jwt: false },
      ...{ created_at: 1, updated_at: 1 },
    });
    if (url.pathname.endsWith("/functions/deploy")) {
      functions.set(slug, await deployed(request.headers["content-type"] ?? "", body));
      return send(201, made(slug));
    }
    if (url.pathname.endsWith("/functions") && request.method === "PUT") {
      return send(200, { functions: [...functions.keys()].map(made) });
    }
    if (url.pathname.endsWith("/secrets") && request.method === "POST") {
      secrets.push(...(JSON.parse(body.toString()) as { name: string }[]).map(({ name }) => name));
      return send(201, {});
    }
    return send(200, request.method === "GET" ? [] : {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const profile = join(mkdtempSync(join(folder, "profile-")), "profile.yaml");
  const address = `http://127.0.0.1:${port}`;
  writeFileSync(
    profile,
    ["api_url", "dashboard_url", "docs_url"].map((key) => `${key}: ${address}\n`).join("") +
      "name: stand-in\nproject_host: localhost\n",
  );
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return {
    flags: ["--remote=abcdefghijklmnopqrst", "--profile", profile],
    env: { SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}` },
    functions,
    secrets,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function deployed(type: string, body: Uint8Array<ArrayBuffer>): Promise<Deployed> {
  const form = await new Response(body, { headers: { "content-type": type } }).formData();
  const result: Deployed = { metadata: {}, files: {} };
  for (const [name, part] of form) {
    if (typeof part !== "string") {
      const text = await part.text();
      if (name === "metadata") result.metadata = JSON.parse(text) as Record<string, unknown>;
      else result.files[part.name] = text;
    } else if (name === "metadata") result.metadata = JSON.parse(part) as Record<string, unknown>;
  }
  return result;
}
