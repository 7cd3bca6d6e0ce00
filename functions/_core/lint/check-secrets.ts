import type { Report } from "./finding.ts";
import { isPublicSecretName } from "./names.ts";
import { describeSecret, findSecrets } from "./secrets.ts";
import { placeOf } from "./place.ts";

/** Rule hard-coded-key, in the text of any file; the key itself is never told. */
export async function checkSecrets(file: string, text: string): Promise<Report[]> {
  const reports: Report[] = [];
  for (const { start, end, kind, isLocalDemo } of findSecrets(text)) {
    if (isLocalDemo) continue;
    const about = await describeSecret(text.slice(start, end));
    reports.push({
      rule: "lint/hard-coded-key",
      file,
      text,
      start,
      end,
      message: `a ${kind} is written out (${about})`,
      // Written in a test it is leaked just the same.
      ...(placeOf(file) === "test" ? { severity: "warning" as const } : {}),
    });
  }
  return reports;
}

/** Rule public-service-key, in .env files. */
export function checkEnvFile(file: string, text: string): Report[] {
  if (!/(^|\/)\.env(\.[\w.-]+)?$/.test(file)) return [];
  return [...text.matchAll(/^[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)[ \t]*=/gm)].flatMap(
    (found) => {
      const name = found[1] ?? "";
      if (!isPublicSecretName(name)) return [];
      const start = found.index + found[0].indexOf(name);
      return [{
        rule: "lint/public-service-key",
        file,
        text,
        start,
        end: start + name.length,
        message: `${name} is copied into the code that every browser receives`,
      }];
    },
  );
}
