import { concat } from "../bytes.ts";

/**
 * Reads exact lengths off a stream that is cut anywhere.
 *
 * @example
 * const reader = new ByteReader(stream);
 * const fixed = await reader.read(14); // fewer bytes only at the end of the stream
 */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #parts: Uint8Array[] = [];
  #buffered = 0;
  #isEnded = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  async #fill(length: number): Promise<void> {
    while (this.#buffered < length && !this.#isEnded) {
      const { done, value } = await this.#reader.read();
      if (done) this.#isEnded = true;
      else if (value.length > 0) {
        this.#parts.push(value);
        this.#buffered += value.length;
      }
    }
  }

  /** Exactly `length` bytes, or what is left. */
  async read(length: number): Promise<Uint8Array> {
    await this.#fill(length);
    return this.#take(Math.min(length, this.#buffered));
  }

  /** At least one byte and at most `length`, as they come; empty only at the end. */
  async readSome(length: number): Promise<Uint8Array> {
    await this.#fill(1);
    return this.#take(Math.min(length, this.#parts[0]?.length ?? 0));
  }

  /** Whether nothing follows. Looks ahead, takes nothing. */
  async isAtEnd(): Promise<boolean> {
    await this.#fill(1);
    return this.#buffered === 0;
  }

  async cancel(reason: unknown): Promise<void> {
    this.#isEnded = true;
    this.#parts = [];
    this.#buffered = 0;
    await this.#reader.cancel(reason);
  }

  #take(length: number): Uint8Array {
    const taken: Uint8Array[] = [];
    let missing = length;
    while (missing > 0) {
      const part = this.#parts[0]!;
      if (part.length <= missing) {
        taken.push(part);
        this.#parts.shift();
        missing -= part.length;
      } else {
        taken.push(part.subarray(0, missing));
        this.#parts[0] = part.subarray(missing);
        missing = 0;
      }
    }
    this.#buffered -= length;
    return taken.length === 1 ? taken[0]! : concat(...taken);
  }
}
