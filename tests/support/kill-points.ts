/** Functions of an object, with a moment before and after each call at which the process may be killed. */
type Point = () => void;

/**
 * The same object, which calls `point` before and after every call of a method, for every piece of a stream that goes
 * in or comes out, and for every item of a listing. Objects that methods give back (sessions) are wrapped as well.
 * `only`: the methods to watch; default all.
 *
 * @example
 * let points = 0;
 * const store = withPoints(folderStore(folder), () => points++);
 */
export function withPoints<T extends object>(inner: T, point: Point, only?: readonly string[]): T {
  return new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      if (only && !only.includes(String(name))) return member.bind(target);
      return (...args: unknown[]) => {
        point();
        const watched = args.map((arg) => arg instanceof ReadableStream ? pieces(arg, point) : arg);
        return out(Reflect.apply(member, target, watched), point);
      };
    },
  });
}

function out(result: unknown, point: Point): unknown {
  if (result instanceof Promise) {
    return result.then((value: unknown) => {
      point();
      return isOpaque(value) ? value : out(value, point);
    });
  }
  if (result instanceof ReadableStream) return pieces(result, point);
  if (typeof result !== "object" || result === null) return result;
  if (Symbol.asyncIterator in result) return items(result as AsyncIterable<unknown>, point);
  const hasMethods = Object.values(result).some((value) => typeof value === "function");
  return hasMethods ? withPoints(result, point) : result;
}

/** Data, of which nothing can be called. */
const isOpaque = (value: unknown): boolean =>
  Array.isArray(value) || value instanceof Date || value instanceof Set;

async function* items(from: AsyncIterable<unknown>, point: Point): AsyncGenerator<unknown> {
  for await (const item of from) {
    point();
    yield item;
  }
}

function pieces(
  stream: ReadableStream<Uint8Array>,
  point: Point,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      point();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}
