#!/usr/bin/env bash
# Dump, encrypt, checksum, upload off-site; the bucket keeps 30 days, 12 months under an object lock.
set -euo pipefail
umask 077
stamp=$(date -u +%Y%m%dT%H%M%SZ)
pg_dump --format=custom "$DATABASE_URL" | age --recipient "$AGE_RECIPIENT" >"$stamp.dump.age"
sha256sum "$stamp.dump.age" >"$stamp.dump.age.sha256"
for file in "$stamp.dump.age" "$stamp.dump.age.sha256"; do
    aws s3 cp "$file" "s3://ledgerly-backups-eu/$file" --endpoint-url https://s3.eu-central-003.backblazeb2.com
done
