/**
 * The chunks of a stream. Leaving the loop early, or an error inside it, cancels the stream.
 * (`for await` over a stream itself is missing from some of the runtimes' types.)
 *
 * @example
 * for await (const chunk of chunksOf(stream)) size += chunk.length;
 */
export async function* chunksOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = stream.getReader();
  let isRead = false;
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
    isRead = true;
  } finally {
    if (!isRead) await reader.cancel("not read to the end").catch(() => {});
    reader.releaseLock();
  }
}
