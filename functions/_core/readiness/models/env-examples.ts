import type { Repository } from "../repository.ts";

/** A line of a file that shows which variables there are: `.env.example`, `.env.template`, a tracked `.env`. */
export type EnvExample = { name: string; value: string; file: string; line: number };

const FILE =
  /(^|\/)(\.env[\w.-]*|[\w-]+\.env(\.\w+)?|(dot)?env[._-](example|sample|template|dist))$/;
const MOST_TEXT = 200_000;

/**
 * The variables that the repository shows, with their values.
 *
 * @example
 * envExamples(repository).filter(({ name }) => name === "SECRET_KEY");
 */
export function envExamples(repository: Repository): readonly EnvExample[] {
  return repository.once(
    "env-examples",
    () =>
      repository.matching(FILE).flatMap((file) =>
        (file.text ?? "").slice(0, MOST_TEXT).split("\n").flatMap((text, index) => {
          const found = /^\s*(?:#\s*)?(?:export\s+)?([A-Za-z][A-Za-z0-9_]*)\s*=(.*)$/.exec(
            text.slice(0, 2_000),
          );
          const [, name = "", raw = ""] = found ?? [];
          const isComment = /^\s*#/.test(text);
          if (name === "" || (isComment && !/^[A-Z][A-Z0-9_]+$/.test(name))) return [];
          const value = isComment
            ? ""
            : raw.trim().replace(/\s+#.*$/, "").replace(/^(["'])(.*)\1$/, "$2");
          return [{ name: name.toUpperCase(), value, file: file.path, line: index + 1 }];
        })
      ),
  );
}
