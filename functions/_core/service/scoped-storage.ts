import { bucketName, ownPath, tenantPath, tenantPrefix } from "./storage-paths.ts";
import type { TenantScope } from "./tenant-scope.ts";

/** What Storage answers. */
type Answer = { data: unknown; error: unknown };

/** What the wrapper needs of supabase-js's `storage.from(bucket)`. */
export type StorageBucket = {
  upload(path: string, body: unknown, options?: object): Promise<Answer>;
  update(path: string, body: unknown, options?: object): Promise<Answer>;
  uploadToSignedUrl(
    path: string,
    token: string,
    body: unknown,
    options?: object,
  ): Promise<Answer>;
  createSignedUploadUrl(path: string, options?: object): Promise<Answer>;
  createSignedUrl(path: string, expiresIn: number, options?: object): Promise<Answer>;
  createSignedUrls(paths: string[], expiresIn: number, options?: object): Promise<Answer>;
  getPublicUrl(path: string, options?: object): unknown;
  download(path: string, options?: object, parameters?: object): unknown;
  info(path: string, options?: object): Promise<Answer>;
  exists(path: string): Promise<Answer>;
  list(path?: string, options?: object, parameters?: object): Promise<Answer>;
  move(from: string, to: string, options?: object): Promise<Answer>;
  copy(from: string, to: string, options?: object): Promise<Answer>;
  remove(paths: unknown[]): Promise<Answer>;
};

/**
 * `storage.from(bucket)` below the tenant's folder: paths go in and come out without it, so that what is kept in a
 * table fits what is passed here. What is not written here (buckets, `listV2`, lifecycles) does not exist.
 *
 * @example
 * const { data } = await client.storage.from("contracts").upload("7.pdf", file); // data.path is "7.pdf"
 * @throws BulkheadError `BH_STORAGE_PATH`, kind `refused`, from each method, before a request leaves.
 */
export class ScopedBucket {
  readonly #scope: TenantScope;
  readonly #bucket: StorageBucket;

  constructor(scope: TenantScope, bucket: StorageBucket) {
    this.#scope = scope;
    this.#bucket = bucket;
  }

  async upload(path: string, body: unknown, options?: object): Promise<Answer> {
    return this.#shown(await this.#bucket.upload(this.#in(path), body, options));
  }

  async update(path: string, body: unknown, options?: object): Promise<Answer> {
    return this.#shown(await this.#bucket.update(this.#in(path), body, options));
  }

  async uploadToSignedUrl(
    path: string,
    token: string,
    body: unknown,
    options?: object,
  ): Promise<Answer> {
    const bucket = this.#bucket;
    return this.#shown(await bucket.uploadToSignedUrl(this.#in(path), token, body, options));
  }

  async createSignedUploadUrl(path: string, options?: object): Promise<Answer> {
    return this.#shown(await this.#bucket.createSignedUploadUrl(this.#in(path), options));
  }

  async createSignedUrl(path: string, expiresIn: number, options?: object): Promise<Answer> {
    return await this.#bucket.createSignedUrl(this.#in(path), expiresIn, options);
  }

  async createSignedUrls(paths: string[], expiresIn: number, options?: object): Promise<Answer> {
    const inside = paths.map((path) => this.#in(path));
    return this.#shown(await this.#bucket.createSignedUrls(inside, expiresIn, options));
  }

  /** An address that anybody can read, as in supabase-js: for public buckets. */
  getPublicUrl(path: string, options?: object): unknown {
    return this.#bucket.getPublicUrl(this.#in(path), options);
  }

  download(path: string, options?: object, parameters?: object): unknown {
    return this.#bucket.download(this.#in(path), options, parameters);
  }

  async info(path: string, options?: object): Promise<Answer> {
    return this.#shown(await this.#bucket.info(this.#in(path), options));
  }

  async exists(path: string): Promise<Answer> {
    return await this.#bucket.exists(this.#in(path));
  }

  async list(folder?: string, options?: object, parameters?: object): Promise<Answer> {
    const prefix = tenantPrefix(this.#scope, folder);
    return await this.#bucket.list(prefix, options, parameters);
  }

  async move(from: string, to: string, options?: object): Promise<Answer> {
    checkDestination(options);
    return await this.#bucket.move(this.#in(from), this.#in(to), options);
  }

  async copy(from: string, to: string, options?: object): Promise<Answer> {
    checkDestination(options);
    return await this.#bucket.copy(this.#in(from), this.#in(to), options);
  }

  async remove(paths: (string | { path: string; versionId: string })[]): Promise<Answer> {
    const inside = paths.map((entry) =>
      typeof entry === "string" ? this.#in(entry) : { ...entry, path: this.#in(entry?.path) }
    );
    return this.#shown(await this.#bucket.remove(inside));
  }

  #in(path: unknown): string {
    return tenantPath(this.#scope, path);
  }

  /** The answer with the tenant's folder taken off `path` and `name`. */
  #shown(answer: Answer): Answer {
    const { data } = answer;
    if (data === null || typeof data !== "object") return answer;
    const shown = Array.isArray(data) ? data.map((row) => this.#row(row)) : this.#row(data);
    return { ...answer, data: shown };
  }

  #row(row: unknown): unknown {
    if (typeof row !== "object" || row === null) return row;
    const copy: Record<string, unknown> = { ...row };
    for (const key of ["path", "name"]) {
      const value = copy[key];
      if (typeof value === "string") copy[key] = ownPath(this.#scope, value);
    }
    return copy;
  }
}

function checkDestination(options: object | undefined): void {
  if (options !== undefined && "destinationBucket" in options) {
    if (options.destinationBucket !== undefined) bucketName(options.destinationBucket);
  }
}
