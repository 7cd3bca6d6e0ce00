const EXTENDED = 0x4000;
const NAME_LENGTH = 0x0fff;
const LINK = 0o160000;

/** What git's index names. `submodules` are folders that hold another repository. */
export type GitIndex = { files: Set<string>; submodules: Set<string> };

/**
 * Parse git's index, versions 2 to 4, with SHA-1 or SHA-256 names: git itself is never run, for a repository's
 * configuration can name programs.
 *
 * @example
 * parseGitIndex(bytes).files.has(".env"); // tracked
 * @throws SyntaxError where it is none, or only the difference to a shared one.
 */
export function parseGitIndex(bytes: Uint8Array): GitIndex {
  try {
    return parse(bytes, 20);
  } catch (error) {
    // Which hash it is stands in the configuration; the wrong one can't yield names in order.
    try {
      return parse(bytes, 32);
    } catch {
      throw error;
    }
  }
}

function parse(bytes: Uint8Array, hash: number): GitIndex {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 + hash || view.getUint32(0) !== 0x44495243) throw broken("it is no index");
  const version = view.getUint32(4);
  if (version < 2 || version > 4) throw broken(`version ${version} is not known`);
  const count = view.getUint32(8);
  const end = bytes.length - hash;
  const utf8 = new TextDecoder();
  const index: GitIndex = { files: new Set(), submodules: new Set() };
  let at = 12;
  let previous = new Uint8Array();
  for (let n = 0; n < count; n++) {
    const start = at;
    const flagsAt = start + 40 + hash;
    if (flagsAt + 4 > end) throw broken("it is cut");
    const mode = view.getUint32(start + 24);
    const flags = view.getUint16(flagsAt);
    at = flagsAt + 2 + (version >= 3 && (flags & EXTENDED) !== 0 ? 2 : 0);
    let kept = 0;
    if (version === 4) {
      let byte = bytes[at++] ?? 0;
      let strip = byte & 0x7f;
      while ((byte & 0x80) !== 0 && at < end && strip < 1e6) {
        byte = bytes[at++] ?? 0;
        strip = (strip + 1) * 128 + (byte & 0x7f);
      }
      kept = previous.length - strip;
      if (kept < 0) throw broken("a name is cut from nothing");
    }
    const stop = bytes.indexOf(0, at);
    if (stop < 0 || stop > end || stop - at > 65_536) throw broken("a name does not end");
    const name = new Uint8Array(kept + stop - at);
    name.set(previous.subarray(0, kept));
    name.set(bytes.subarray(at, stop), kept);
    const said = flags & NAME_LENGTH;
    if (said !== NAME_LENGTH && said !== name.length) {
      throw broken("a name is not as long as it says");
    }
    if (n > 0 && order(previous, name) > 0) throw broken("its names are not in order");
    previous = name;
    at = version === 4 ? stop + 1 : start + Math.ceil((stop + 1 - start) / 8) * 8;
    const path = utf8.decode(name);
    if ((mode & 0o170000) === LINK) index.submodules.add(path);
    else if (!path.endsWith("/")) index.files.add(path);
  }
  while (at + 8 <= end) {
    const isLink = view.getUint32(at) === 0x6c696e6b;
    if (isLink) throw broken("it is split");
    at += 8 + view.getUint32(at + 4);
  }
  return index;
}

function order(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let n = 0; n < length; n++) {
    const difference = (a[n] ?? 0) - (b[n] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function broken(state: string): SyntaxError {
  return new SyntaxError(`Cannot read git's index: ${state}`);
}
