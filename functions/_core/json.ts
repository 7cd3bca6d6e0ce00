/**
 * What a text says in JSON, undefined where it is none: for what a schema looks at next.
 *
 * @example
 * const { success } = shape.safeParse(parseJson(text));
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
