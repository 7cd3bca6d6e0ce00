import { type Module, scopeAt } from "./module.ts";
import type { Report } from "./finding.ts";
import { soundsLikeServiceClient } from "./names.ts";
import { placeOf } from "./place.ts";
import { at, placesOf, type Program } from "./program.ts";
import { serviceKey } from "./make.ts";
import { child, children, isCall, isMember, keyName, type Node, quasis, word } from "./syntax.ts";
import { tenantIn, tenantWritten } from "./tenant-filter.ts";
import type { Client, Query, Value } from "./value.ts";

const WRITES = new Set(["insert", "update", "upsert", "delete"]);
const STORAGE_WRITES = new Set(["upload", "update", "remove", "move", "copy", "uploadToSignedUrl"]);

/** Rules service-client, service-write, service-read and service-rpc. */
export function checkClients(program: Program): Report[] {
  const reports: Report[] = [];
  for (const module of program.modules) {
    if (placeOf(module.path) === "test") continue;
    for (const call of module.calls) look(program, module, call, reports);
  }
  for (const query of program.evaluator.queries()) reports.push(...judge(program, query));
  // Last, when every use is known.
  for (const module of program.modules) {
    if (placeOf(module.path) === "test") continue;
    for (const call of module.calls) reports.push(...made(program, module, call));
  }
  return reports;
}

/** One call: what it does with a client, a bucket or a query. */
function look(program: Program, module: Module, call: Node, reports: Report[]): void {
  const { evaluator } = program;
  const callee = child(call, "callee");
  for (const arg of children(call, "arguments")) {
    for (const value of evaluator.evaluate(arg, module)) {
      const isFollowed = callee &&
        evaluator.evaluate(callee, module).some((one) =>
          one.kind === "function" || one.kind === "class" ||
          (one.kind === "global" && one.name === "Promise")
        );
      // What was awaited is the answer: nobody can add a filter to that any more.
      if (value.kind === "query" && !isFollowed && arg.type !== "AwaitExpression") {
        value.query.escapes ||= !isHarmless(callee);
      }
      if (value.kind === "client" && !isFollowed) value.site.uses.add("elsewhere");
    }
  }
  if (!isMember(callee)) return;
  const object = child(callee, "object");
  const method = keyName(callee, "property");
  const property = child(callee, "property");
  if (!object || method === null || !property) return;
  for (const value of evaluator.evaluate(object, module)) {
    if (value.kind === "client" && value.role === "service") {
      if (method === "rpc") {
        value.site.uses.add("data");
        const [name] = children(call, "arguments");
        const shown = name?.type === "StringLiteral" ? `"${word(name, "value")}"` : "…";
        const message = `.rpc(${shown}) is called with the service key ${origin(value)}`;
        reports.push(through(value, at(module, property, "lint/service-rpc", message)));
      } else if (method === "from" || method === "schema") value.site.uses.add("data");
      else if (method === "removeChannel") continue;
      else value.site.uses.add("elsewhere");
    } else if (value.kind === "auth") value.client.site.uses.add("auth");
    else if (value.kind === "bucket") {
      value.client.site.uses.add("data");
      if (value.client.role === "service" && STORAGE_WRITES.has(method)) {
        const message = `storage .${method}() runs with the service key ${origin(value.client)}`;
        reports.push(through(value.client, at(module, property, "lint/service-write", message)));
      }
    } else if (value.kind === "query") {
      const { calls } = value.query;
      if (!calls.some((one) => one.node === call)) {
        calls.push({ method, args: children(call, "arguments"), node: property, module });
      }
    } else if (
      (value.kind === "named" || value.kind === "external") &&
      soundsLikeServiceClient(value.name) && ["from", "rpc"].includes(method)
    ) {
      reports.push(...byName(module, call, property, value.name, method));
    }
  }
}

/** A client that can't be followed, but whose name says what it is. */
function byName(
  module: Module,
  call: Node,
  property: Node,
  name: string,
  method: string,
): Report[] {
  if (method === "rpc") {
    return [
      at(
        module,
        property,
        "lint/service-rpc",
        `.rpc() is called on "${name}", a service client by its name`,
      ),
    ];
  }
  for (
    let node = call;
    isMember(node.parent) && isCall(node.parent.parent);
    node = node.parent.parent
  ) {
    const next = keyName(node.parent, "property") ?? "";
    const key = child(node.parent, "property");
    if (WRITES.has(next) && key) {
      return [
        at(
          module,
          key,
          "lint/service-write",
          `.${next}() runs on "${name}", a service client by its name`,
        ),
      ];
    }
  }
  return [];
}

function isHarmless(callee: Node | null): boolean {
  const object = isMember(callee) ? child(callee, "object") : null;
  return object?.type === "Identifier" && ["Promise", "console"].includes(word(object, "name"));
}

/** What a query does, once all of it was seen. */
function judge(program: Program, query: Query): Report[] {
  const { client, module, table } = query;
  if (client.role !== "service" || placeOf(module.path) === "test") return [];
  const name = table === null ? "a table" : `"${table}"`;
  const writes = query.calls.filter((one) => WRITES.has(one.method));
  const filtered = tenantIn(program, query);
  if (writes.length > 0) {
    return writes.map((one) => {
      const names = filtered === "yes" || (one.method !== "delete" && tenantWritten(program, one));
      const message = `.${one.method}() on ${name} runs with the service key ${origin(client)}`;
      const by = names ? `${message}, held to a tenant by hand` : message;
      const report = through(client, at(one.module, one.node, "lint/service-write", by));
      return names ? { ...report, severity: "warning" } : report;
    });
  }
  const select = query.calls.find((one) => one.method === "select");
  if (!select || filtered !== "no" || query.escapes) return [];
  if (table !== null && program.globalTables.has(table)) return [];
  const message = `${name} is read for every tenant, with the service key ${origin(client)}`;
  return [through(client, at(query.module, head(query.node), "lint/service-read", message))];
}

/** An ignore where the client is made speaks of everything that goes through it. */
function through({ site }: Client, report: Report): Report {
  return { ...report, sites: placesOf([site]) };
}

/** `from("x")` without what stands before it. */
function head(call: Node): Node {
  const property = child(child(call, "callee"), "property");
  return property ? { ...call, start: property.start } : call;
}

function origin(client: Client): string {
  return client.key === "" ? "" : `(${client.key})`;
}

/** The calls that make a client, and raw requests that carry the key. */
function made(program: Program, module: Module, call: Node): Report[] {
  const { evaluator } = program;
  if (isRawRequest(program, module, call)) {
    return [
      at(
        module,
        call,
        "lint/service-client",
        "a request to the database's API carries the service key",
      ),
    ];
  }
  const values = evaluator.evaluate(call, module);
  const own = values.find((one): one is Client =>
    one.kind === "client" && one.site.node === call && one.role !== "other"
  );
  if (!own) return [];
  const callee = child(call, "callee") ?? call;
  const shown = { ...call, end: callee.end };
  if (own.role === "user") {
    return [{
      ...at(
        module,
        shown,
        "lint/service-client",
        `a client with the caller's token has the service key ${
          origin(own)
        } where the anon key is enough`,
      ),
      severity: "warning",
      help: "pass the anon or publishable key: the token decides",
    }];
  }
  // There is no other way to manage users.
  const { uses } = own.site;
  if (uses.size === 1 && uses.has("auth")) return [];
  return [
    at(
      module,
      shown,
      "lint/service-client",
      `a client is made with the service key ${origin(own)}`,
    ),
  ];
}

/** `fetch(url + "/rest/v1/…", { headers: { apikey: serviceKey } })`. */
function isRawRequest({ evaluator }: Program, module: Module, call: Node): boolean {
  const callee = child(call, "callee");
  if (
    callee?.type !== "Identifier" || word(callee, "name") !== "fetch" ||
    scopeAt(module, callee).find("fetch")
  ) return false;
  const [url, options] = children(call, "arguments");
  if (!url || !options || !fixedText(url).includes("/rest/v1")) return false;
  const headers = evaluator.evaluate(options, module).flatMap((one) =>
    evaluator.property(one, "headers")
  );
  return headers.flatMap((one) => evaluator.property(one, "*")).some((one: Value) =>
    serviceKey(one) !== null
  );
}

function fixedText(node: Node): string {
  if (node.type === "StringLiteral") return word(node, "value");
  if (node.type === "TemplateLiteral") return quasis(node).join("…");
  const [left, right] = [child(node, "left"), child(node, "right")];
  return left && right ? fixedText(left) + fixedText(right) : "";
}
