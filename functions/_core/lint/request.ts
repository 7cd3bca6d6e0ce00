import type { Value } from "./value.ts";

/**
 * Whether a name is what back ends call the incoming request. A response or a fetch has other names, and the
 * headers of those are not the sender's.
 */
export function isRequestName(name: string): boolean {
  return /^_?(req|request|httpRequest|nextRequest|httpReq)$/.test(name);
}

/** Headers that carry no tenant, or that a signature covers. */
const OTHER_HEADERS =
  /^(authorization|cookie|host|origin|referer|user-agent|accept.*|content-.*|.*signature.*|x-forwarded-.*|x-real-ip|cf-.*|apikey)$/i;

/**
 * What a property of the request, or of something that came with it, is: `request.body.tenantId` is input,
 * `request.user` is not.
 */
export function inputFrom(
  value: Extract<Value, { kind: "request" | "input" }>,
  name: string,
): Value[] {
  if (value.kind === "request") {
    switch (name) {
      case "headers":
        return [{ kind: "input", part: "header", name: "" }];
      case "query":
      case "searchParams":
      case "nextUrl":
        return [{ kind: "input", part: "query", name: "" }];
      case "body":
        return [{ kind: "input", part: "body", name: "" }];
      case "url":
        return [{ kind: "named", name: "url" }];
      case "req":
      case "request":
      case "raw":
        return [{ kind: "request" }];
      default:
        return [];
    }
  }
  // `url.searchParams.get("x")`, `(await parse(body)).data.x`
  if (["searchParams", "data", "value", "output"].includes(name)) return [value];
  if (["get", "getAll", "has", "then", "length"].includes(name)) return [];
  if (value.part === "header" && OTHER_HEADERS.test(name)) return [];
  return [{ ...value, name }];
}
