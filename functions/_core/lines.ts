/**
 * The line of an offset, from 1.
 *
 * @example
 * lineAt("a\nb", 2); // 2
 */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** Where the lines of a text begin, for those who ask {@link lineIn} often. */
export function lineStarts(text: string): Int32Array {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return new Int32Array(starts);
}

/**
 * The line of an offset, from 1, by the places where lines begin.
 *
 * @example
 * lineIn(lineStarts("a\nb"), 2); // 2
 */
export function lineIn(starts: Int32Array, offset: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}
