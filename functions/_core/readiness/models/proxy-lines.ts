import type { Repository } from "../repository.ts";

const PROXY =
  /(^|\/)(Caddyfile[^/]*|[^/]*nginx[^/]*|[^/]*\.conf(\.template)?|nginx\/.*|conf\.d\/.*|[^/]*traefik[^/]*\.(ya?ml|toml)|[^/]*compose[^/]*\.ya?ml)$/i;

/**
 * The lines of proxies' configurations that match, comments left out. Made for one-line directives: what stands in
 * which block is for models/proxies.ts.
 *
 * @example
 * proxyLines(repository, /^\s*limit_req\s/);
 */
export function proxyLines(
  repository: Repository,
  wanted: RegExp,
): { file: string; line: number; text: string }[] {
  return repository.matching(PROXY).flatMap(({ path, text, context }) => {
    if (text === null || context === "test" || context === "docs") return [];
    return text.split("\n").flatMap((line, index) =>
      line.length < 1_000 && !/^\s*#/.test(line) && wanted.test(line)
        ? [{ file: path, line: index + 1, text: line.trim() }]
        : []
    );
  });
}

const PROCESS =
  /(^|\/)(Dockerfile[^/]*|[^/]*\.Dockerfile|Procfile|[^/]*compose[^/]*\.ya?ml|[^/]*\.sh|fly\.toml|render\.yaml|railway\.(json|toml)|[^/]*deployment[^/]*\.ya?ml|gunicorn[^/]*\.py|supervisord?[^/]*\.conf|[^/]*\.service)$/i;

/**
 * The lines that start processes and match, comments left out: Dockerfiles, compose, Procfiles, scripts, manifests.
 *
 * @example
 * processLines(repository, /--timeout-graceful-shutdown/);
 */
export function processLines(
  repository: Repository,
  wanted: RegExp,
): { file: string; line: number; text: string }[] {
  return repository.matching(PROCESS).flatMap(({ path, text, context }) => {
    if (text === null || context === "test" || context === "docs") return [];
    return text.split("\n").flatMap((line, index) =>
      line.length < 2_000 && !/^\s*(#|\/\/)/.test(line) && wanted.test(line)
        ? [{ file: path, line: index + 1, text: line.trim() }]
        : []
    );
  });
}
