/** A field of a node of libpg-query's tree, undefined when there is none. */
export function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) if (key === name) return inner;
  return undefined;
}

/** A field that holds a list. */
export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The body of a node when it is of that type: nodes are `{ Type: body }`. */
export function as(value: unknown, type: string): unknown {
  return fieldOf(value, type) ?? null;
}

/** The texts of a list of `String` nodes. */
export function names(value: unknown): string[] {
  return list(value).map((one) => String(fieldOf(as(one, "String"), "sval") ?? ""));
}

/** Every node `{ Type: body }` below a value, with its type. */
export function* walk(value: unknown): Generator<[string, unknown]> {
  const stack: unknown[] = [value];
  while (stack.length > 0) {
    const at = stack.pop();
    if (Array.isArray(at)) stack.push(...at);
    else if (typeof at === "object" && at !== null) {
      for (const [key, inner] of Object.entries(at)) {
        if (/^[A-Z]/.test(key)) yield [key, inner];
        stack.push(inner);
      }
    }
  }
}
