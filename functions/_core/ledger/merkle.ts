import { nodeHash } from "./hashes.ts";

/**
 * The Merkle root of leaves that arrive one by one, in logarithmic memory. Pairs make a node; the odd last one of a
 * level moves up as it is.
 *
 * @example
 * const tree = new MerkleTree();
 * for (const leaf of leaves) tree.add(leaf);
 * tree.root();
 */
export class MerkleTree {
  /** Roots of full subtrees, each smaller than the one before. */
  readonly #full: { size: number; hash: Uint8Array }[] = [];
  #leaves = 0;

  get leaves(): number {
    return this.#leaves;
  }

  add(leaf: Uint8Array): void {
    this.#leaves++;
    let node = { size: 1, hash: leaf };
    for (let last = this.#full.at(-1); last?.size === node.size; last = this.#full.at(-1)) {
      this.#full.pop();
      node = { size: 2 * node.size, hash: nodeHash(last.hash, node.hash) };
    }
    this.#full.push(node);
  }

  /** Null for no leaf. */
  root(): Uint8Array | null {
    return this.#full.reduceRight<Uint8Array | null>(
      (right, { hash }) => right === null ? hash : nodeHash(hash, right),
      null,
    );
  }
}

/**
 * The root that a leaf leads to, by the hashes beside its way; null when the path does not fit the tree.
 *
 * @example
 * rootByPath(shareHash, { index: 2, size: 5, path: [a, b] });
 */
export function rootByPath(
  leaf: Uint8Array,
  at: { index: number; size: number; path: readonly Uint8Array[] },
): Uint8Array | null {
  let { index, size } = at;
  if (index < 0 || index >= size) return null;
  const path = [...at.path];
  let hash = leaf;
  for (; size > 1; index >>= 1, size = (size + 1) >> 1) {
    const isLeft = index % 2 === 0;
    if (isLeft && index + 1 === size) continue;
    const beside = path.shift();
    if (beside === undefined) return null;
    hash = isLeft ? nodeHash(hash, beside) : nodeHash(beside, hash);
  }
  return path.length === 0 ? hash : null;
}
