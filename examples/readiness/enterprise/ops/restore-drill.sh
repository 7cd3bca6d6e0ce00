#!/usr/bin/env bash
# Fetch the newest backup, check it, restore it into an empty server and count.
set -euo pipefail
bucket=s3://ledgerly-backups-eu
endpoint=https://s3.eu-central-003.backblazeb2.com
newest=$(aws s3 ls "$bucket/" --endpoint-url "$endpoint" | awk '{print $4}' | grep 'dump.age$' | sort | tail -n 1)
aws s3 cp "$bucket/$newest" "$newest" --endpoint-url "$endpoint"
aws s3 cp "$bucket/$newest.sha256" "$newest.sha256" --endpoint-url "$endpoint"
sha256sum --check "$newest.sha256"
age --decrypt --identity <(printf '%s' "$AGE_IDENTITY") "$newest" | pg_restore --exit-on-error --dbname "$TARGET_URL"
rows=$(psql "$TARGET_URL" --tuples-only --no-align --command 'select count(*) from invoices')
[[ $rows -gt 0 ]] || { echo "the restored database has no invoice" >&2; exit 1; }
