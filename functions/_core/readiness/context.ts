/** What a file is for. Vendored files are listed and never judged. */
export type Context = "prod" | "dev" | "test" | "ci" | "docs" | "vendored";

/**
 * What a file is for, by its path alone; what deploys and compose files say of it is for the rules to know.
 *
 * @example
 * contextOf("apps/api/tests/test_login.py"); // "test"
 */
export function contextOf(path: string): Context {
  if (VENDORED.test(path)) return "vendored";
  if (CI.test(path)) return "ci";
  if (TEST.test(path)) return "test";
  if (DOCS.test(path)) return "docs";
  return DEV.test(path) ? "dev" : "prod";
}

const VENDORED =
  /(^|\/)(node_modules|vendor|vendored|third_party|bower_components|site-packages|\.?venv|\.yarn)\//;
const CI = /^(\.github\/(workflows|actions)\/|\.gitlab-ci\.yml$|\.circleci\/)/;
const TEST =
  /(^|\/)(tests?|__tests__|__mocks__|e2e|cypress|playwright|fixtures?|__fixtures__|testdata|testing)\/|(^|\/)(test_[^/]*|[^/]*_test|conftest)\.py$|[._-](test|spec|e2e|stories|mock)\.[^/]+$|(^|\/)[^/]*(compose|Dockerfile)[^/]*[._-](test|ci|e2e)\b/i;
const DOCS = /(^|\/)(docs?|examples?|samples?)\/|\.(md|mdx|rst|adoc)$/i;
const DEV =
  /(^|\/)(dev|local|\.devcontainer|\.vscode)\/|(^|\/)[^/]*(compose|Dockerfile)[^/]*[._-](dev|development|local|override)\b|(^|\/)\.env\.(dev|development|local)\b|(^|\/)Dockerfile\.(dev|local)$/i;
