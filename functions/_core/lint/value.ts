import type { Module } from "./module.ts";
import type { Node } from "./syntax.ts";

/** What the arguments of the call that is being followed are; null outside of a call. */
export type Context = { args: Map<Node, Argument[]>; outer: Context; depth: number } | null;
/** An argument, still to be evaluated where it was written. */
export type Argument = { node: Node; module: Module; context: Context };

/** Whose rights a Supabase client has. `user`: a service key whose requests carry a user's token. */
export type Role = "service" | "user" | "other";
/** The call that made a client or a pool, and how it is used. */
export type Site = {
  node: Node;
  module: Module;
  uses: Set<"auth" | "data" | "elsewhere">;
};
/** A query that began with `client.from(table)`, and every method called on it. */
export type Query = {
  node: Node;
  module: Module;
  table: string | null;
  client: Client;
  calls: { method: string; args: Node[]; node: Node; module: Module }[];
  /** It went somewhere that can't be followed. */
  escapes: boolean;
};
export type Client = { kind: "client"; role: Role; site: Site; key: string };

/** What an expression can be, as far as rules care. */
export type Value =
  | { kind: "string"; value: string }
  | { kind: "env" }
  | { kind: "env-get" }
  /** The value of an environment variable. */
  | { kind: "variable"; name: string }
  | { kind: "secret"; node: Node; module: Module }
  /** A value that can't be followed; its name is all that is known. */
  | { kind: "named"; name: string }
  | { kind: "global"; name: string }
  | { kind: "external"; specifier: string; name: string }
  | { kind: "module"; module: Module }
  | { kind: "function"; node: Node; module: Module; context: Context }
  | { kind: "class"; node: Node; module: Module }
  | { kind: "instance"; node: Node; module: Module; context: Context }
  | { kind: "object"; node: Node; module: Module; context: Context }
  | Client
  | { kind: "storage"; client: Client }
  | { kind: "bucket"; client: Client }
  | { kind: "auth"; client: Client }
  | { kind: "query"; query: Query }
  | { kind: "pool"; site: Site; library: string }
  | { kind: "request" }
  /** Something that whoever sent the request could write. */
  | { kind: "input"; part: "header" | "query" | "body"; name: string };

/** Two values that say the same. */
export function sameValue(a: Value, b: Value): boolean {
  if (a.kind !== b.kind) return false;
  switch (a.kind) {
    case "string":
      return b.kind === "string" && a.value === b.value;
    case "variable":
    case "named":
    case "global":
      return "name" in b && a.name === b.name;
    case "external":
      return b.kind === "external" && a.specifier === b.specifier && a.name === b.name;
    case "module":
      return b.kind === "module" && a.module === b.module;
    case "class":
    case "secret":
      return "node" in b && a.node === b.node;
    case "function":
    case "instance":
    case "object":
      return "context" in b && a.node === b.node && a.context === b.context;
    case "client":
      return b.kind === "client" && a.site === b.site && a.role === b.role;
    case "storage":
    case "bucket":
    case "auth":
      return "client" in b && a.client.site === b.client.site;
    case "query":
      return b.kind === "query" && a.query === b.query;
    case "pool":
      return b.kind === "pool" && a.site === b.site;
    case "input":
      return b.kind === "input" && a.part === b.part && a.name === b.name;
    default:
      return true;
  }
}

/** Why a parameter has a value: who calls the function with it. */
export type ParameterFacts = Map<Node, Map<number, Argument[]>>;
