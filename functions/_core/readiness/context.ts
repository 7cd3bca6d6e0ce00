/** What a file is for. Vendored files are listed and never judged. */
export type Context = "prod" | "dev" | "test" | "ci" | "docs" | "vendored";

/**
 * What a file is for, by its path alone; what deploys and compose files say of it is for the rules to know.
 *
 * @example
 * contextOf("apps/api/tests/test_login.py"); // "test"
 */
export function contextOf(path: string): Context {
  if (isVendored(path)) return "vendored";
  if (CI.test(path)) return "ci";
  if (TEST.test(path)) return "test";
  if (MARKDOWN.test(path) || (DOCS.test(path) && !ROUTED.test(path))) return "docs";
  return DEV.test(path) ? "dev" : "prod";
}

const VENDORED =
  /(^|\/)(node_modules|_?vendored|_vendor|third[_-]party|bower_components|jspm_packages|Pods|site-packages|\.?venv|\.yarn)\/|\.min\.(js|css|mjs|cjs)$/;
/** A vendor is also somebody who sells: only at the root, or beside what a browser loads, is it other people's code. */
const VENDOR = /^vendor\/|(^|\/)(static|assets|public|js|css|libs?|third[_-]party)\/vendor\//;
const OWN_VENDOR = /^vendor\/([^/]+\.py|(migrations|templates|tests|api)\/.*)$/;

function isVendored(path: string): boolean {
  return VENDORED.test(path) || (VENDOR.test(path) && !OWN_VENDOR.test(path));
}

const CI =
  /^(\.github\/(workflows|actions)\/|\.gitlab-ci\.ya?ml$|\.gitlab\/|\.circleci\/|\.buildkite\/|\.woodpecker|\.drone\.ya?ml$|azure-pipelines[^/]*\.ya?ml$|bitbucket-pipelines\.ya?ml$|Jenkinsfile)/;
const TEST =
  /(^|\/)(?!ab[-_])([\w.]*[-_])?(tests?|__tests__|__mocks__|e2e|cypress|playwright|fixtures?|__fixtures__|testdata|testing|bench(marks?)?)\/|(^|\/)(test_[^/]*|[^/]*_test|conftest|locustfile|noxfile)\.py$|[._-](test|spec|e2e|stories|mock)\.[^/]+$|(^|\/)(jest|vitest|playwright|cypress)\.(config|setup)[^/]*$|(^|\/)[^/]*(compose|Dockerfile)[^/]*[._-](tests?|ci|e2e|playwright)\b|(^|\/)(tests?|ci|e2e)\.(Dockerfile|(docker-)?compose)|(^|\/)\.env\.(test|testing|ci|e2e)\b|(^|\/)(settings|environments)\/tests?(ing)?\.\w+$/i;
const MARKDOWN = /\.(md|mdx|rst|adoc)$/i;
const DOCS = /(^|\/)(docs?|examples?|samples?)\//i;
/** Below these a folder is a part of an address, or of the code: `app/docs/page.tsx` is a page that is served. */
const ROUTED =
  /(^|\/)(src|app|pages|routes|views|routers|controllers)\/(.*\/)?(docs?|examples?|samples?)\//i;
const DEV =
  /(^|\/)(dev|develop|development|\.devcontainer|\.vscode|\.husky|\.storybook)\/|^(?!.*\busr\/local\/)(.*\/)?local\/|(^|\/)[^/]*(compose|Dockerfile)[^/]*[._-](dev|development|local|override|debug)\b|(^|\/)(dev|development|local|debug)\.(Dockerfile|(docker-)?compose)|(^|\/)\.env\.(dev|development|local)\b|(^|\/)(settings|environments)\/(dev|development|local)\.\w+$|(^|\/)requirements[/_-](dev|development|local)[^/]*\.(txt|in)$|(^|\/)(Vagrantfile|Tiltfile|skaffold\.ya?ml|devbox\.json|\.pre-commit-config\.ya?ml)$/i;
