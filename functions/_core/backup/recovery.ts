import { equalInConstantTime, utf8 } from "../bytes.ts";
import type { Keyring } from "../keys/keyring.ts";
import { readSmall } from "../keys/signed-document.ts";
import type { Manifest } from "./manifest-schema.ts";
import { PREFIX } from "./names.ts";
import type { ObjectStore } from "./object-store.ts";

const LIMIT = 1 << 20;

/**
 * Keep a page beside the backups that says how to get the data back: for the reader who has the bucket and the
 * key-encryption key, and neither this repository nor the person who set it up. Written when it says something else
 * than the one that is there: a version for every night would pile up.
 *
 * @example
 * await writeRecovery({ store, manifest, keyring });
 */
export async function writeRecovery(
  of: {
    store: ObjectStore;
    manifest: Manifest;
    keyring: Pick<Keyring, "kekId" | "kekName">;
  },
): Promise<void> {
  const page = utf8(recoveryPage(of.manifest, of.keyring, of.store.describe()));
  if (await of.store.head(PREFIX.recovery)) {
    const there = await readSmall(await of.store.get(PREFIX.recovery), LIMIT).catch(() => null);
    if (there && equalInConstantTime(there, page)) return;
  }
  await of.store.put(PREFIX.recovery, page, { contentType: "text/markdown; charset=utf-8" });
}

/** The page itself; no row, no tenant's name and no secret is in it. */
export function recoveryPage(
  manifest: Manifest,
  { kekId, kekName }: Pick<Keyring, "kekId" | "kekName">,
  store: string,
): string {
  const isService = kekName !== "BULKHEAD_KEK";
  const [variable, given] = isService
    ? ["BULKHEAD_KMS", "BULKHEAD_ROOT"]
    : ["BULKHEAD_KEK", "BULKHEAD_KEK"];
  return `# How to get this data back

${store} holds encrypted backups of the database "${manifest.project}", made by ${manifest.tool}.
Each file in manifests/ is one; their names begin with the time, and the greatest is the newest.

${
    isService
      ? `You need the right to decrypt with the key ${kekName}
(key-encryption key ${kekId}). Without it nobody can read anything here.`
      : `You need the key-encryption key with the id ${kekId}: 32 bytes in base64, kept outside this store as
BULKHEAD_KEK. Without it nobody can read anything here.`
  }

## With Bulkhead

    export BULKHEAD_STORE=… ${variable}=…              # and BULKHEAD_S3_READER_*, endpoint, region
    npx bulkhead backups verify                         # every byte, no database needed
    npx bulkhead restore --into-env TARGET_URL          # an empty database with the same migrations
    npx bulkhead restore --tenant <id>                  # one tenant into a live one: shows, changes nothing

The target's schema must be that of the backup: fingerprint ${manifest.schemaFingerprint}, migrations
up to ${manifest.migrations.at(-1) ?? "none"}.

## With Node alone

Copy the store to a folder: keyring.json, manifests/ and objects/. Take tools/read-backup.mjs of
Bulkhead's repository, one file without dependencies; it reads the newest backup, or --backup <id>:

    ${given}=… node read-backup.mjs --folder copy --out data
    cd data && psql -1 -v ON_ERROR_STOP=1 -f load.sql "$TARGET_URL"   # as a superuser
${
    isService
      ? `
BULKHEAD_ROOT is what the service answers for the member "root" of keyring.json: docs/backup-format.md,
section 2, says in which context.
`
      : ""
  }
It writes COPY text, one file a tenant, table and part, and load.sql once every byte was checked. After it,
select * from bulkhead.broken_foreign_keys() names what points out of the backup, such as auth.users.

## With neither

docs/backup-format.md of Bulkhead's repository specifies every byte: AES-256-GCM, HKDF-SHA256,
HMAC-SHA256, gzip and PostgreSQL's COPY text, for which every language has a library.
`;
}
