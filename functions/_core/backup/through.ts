import { source } from "../bytes.ts";

/**
 * Push chunks through a CompressionStream or DecompressionStream, one write at a time.
 * `pipeThrough` would queue up to 16,384 chunks on Node 20, which counts chunks where it means bytes.
 * An error of the input comes out as it is; `onDamage` names one of the transformation itself.
 *
 * @example
 * for await (const piece of through(chunks, new CompressionStream("gzip"), { step: 65_536, onDamage })) …
 */
export async function* through(
  input: AsyncIterable<Uint8Array>,
  pair: CompressionStream | DecompressionStream,
  options: { step: number; onDamage: (cause: unknown) => Error },
): AsyncGenerator<Uint8Array> {
  const writer = pair.writable.getWriter();
  const reader = pair.readable.getReader();
  let failure: { cause: unknown } | undefined;
  let isAbandoned = false;
  writer.closed.catch(() => {});

  const pump = (async () => {
    try {
      for await (const chunk of input) {
        for (let at = 0; at < chunk.length && !isAbandoned; at += options.step) {
          // What goes wrong in the transformation reaches the reader below; here it ends the loop.
          const isTaken = await writer.write(source(chunk.subarray(at, at + options.step)))
            .then(() => true, () => false);
          if (!isTaken) isAbandoned = true;
        }
        if (isAbandoned) return;
      }
      await writer.close().catch(() => {});
    } catch (cause) {
      failure = { cause };
      await writer.abort(cause).catch(() => {});
    }
  })();

  let isWhole = false;
  try {
    while (true) {
      const { done, value } = await reader.read().catch((cause) => {
        throw failure ? failure.cause : options.onDamage(cause);
      });
      if (done) break;
      yield value;
    }
    await pump;
    if (failure) throw failure.cause;
    isWhole = true;
  } finally {
    isAbandoned = true;
    if (!isWhole) await reader.cancel("not read to the end").catch(() => {});
  }
}
