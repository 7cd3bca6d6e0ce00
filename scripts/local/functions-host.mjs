// Runs inside Deno, in the place of Supabase's edge runtime: /functions/v1/<name> goes to the default export of
// functions/<name>/index.ts, without the prefix, as the gateway does it. Arguments: the folder, then the names.
const [folder, ...names] = Deno.args;
globalThis.EdgeRuntime = { waitUntil: (promise) => void promise.catch(report) };

const functions = new Map();
for (const name of names) {
  functions.set(name, (await import(new URL(`${name}/index.ts`, folder).href)).default);
}

function report(error) {
  console.error(error instanceof Error ? error.stack : String(error));
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`listening ${port}`),
  onError: (error) => {
    // the edge runtime hides the error in the same way
    report(error);
    return Response.json({ code: "WORKER_ERROR", message: "The function threw" }, { status: 500 });
  },
}, (request) => {
  const url = new URL(request.url);
  const [, name] = /^\/functions\/v1\/([a-z0-9-]+)(?=\/|$)/.exec(url.pathname) ?? [];
  const handler = name && functions.get(name);
  if (!handler) {
    return Response.json({ code: "NOT_FOUND", message: "Requested function was not found" }, {
      status: 404,
    });
  }
  url.pathname = url.pathname.slice("/functions/v1".length);
  return handler.fetch(new Request(url, request));
});
