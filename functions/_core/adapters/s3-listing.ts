import type { ListObjectVersionsCommandOutput } from "@aws-sdk/client-s3";
import type { StoredVersion } from "../backup/object-store.ts";

/** Versions and delete markers of one page, in the order in which the store keeps them. */
export function mergePage(page: ListObjectVersionsCommandOutput): StoredVersion[] {
  const read = (
    entry: {
      Key?: string | undefined;
      VersionId?: string | undefined;
      Size?: number | undefined;
      LastModified?: Date | undefined;
      IsLatest?: boolean | undefined;
    },
    isDeleteMarker: boolean,
  ): StoredVersion => ({
    key: entry.Key ?? "",
    version: entry.VersionId ?? "null",
    size: entry.Size ?? 0,
    modifiedAt: entry.LastModified ?? new Date(0),
    isLatest: entry.IsLatest ?? false,
    isDeleteMarker,
  });
  const versions = (page.Versions ?? []).map((entry) => read(entry, false));
  const markers = (page.DeleteMarkers ?? []).map((entry) => read(entry, true));
  const merged: StoredVersion[] = [];
  while (versions.length > 0 || markers.length > 0) {
    const [version, marker] = [versions[0], markers[0]];
    const takeMarker = marker && (!version || isBefore(marker, version));
    merged.push(...(takeMarker ? markers : versions).splice(0, 1));
  }
  return merged;
}

function isBefore(marker: StoredVersion, version: StoredVersion): boolean {
  if (marker.key !== version.key) return marker.key < version.key;
  return marker.isLatest || (!version.isLatest && marker.modifiedAt > version.modifiedAt);
}
