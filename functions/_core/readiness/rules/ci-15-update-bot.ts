import { gap, strength, unknown, weakness } from "../evidence.ts";
import { isRecord, packagesOf } from "../models/task-files.ts";
import { workflowsOf } from "../models/workflows.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { at, items, text } from "../yaml-node.ts";

/** A manifest and the names under which Dependabot knows it. */
const ECOSYSTEMS: [RegExp, string[]][] = [
  [/(^|\/)package\.json$/, ["npm", "bun"]],
  [/(^|\/)(pyproject\.toml|requirements[^/]*\.txt|Pipfile|setup\.py)$/, ["pip", "uv"]],
  [/(^|\/)Dockerfile[^/]*$/, ["docker"]],
  [/(^|\/)go\.mod$/, ["gomod"]],
  [/(^|\/)Cargo\.toml$/, ["cargo"]],
  [/(^|\/)Gemfile$/, ["bundler"]],
  [/(^|\/)composer\.json$/, ["composer"]],
  [/(^|\/)pom\.xml$/, ["maven"]],
  [/(^|\/)build\.gradle(\.kts)?$/, ["gradle"]],
  [/\.csproj$/, ["nuget"]],
  [/\.tf$/, ["terraform", "opentofu"]],
];

/** What nobody raises stays as it was on the day of the first commit. */
export const updateBot: Rule = {
  id: "CI-15",
  name: "update-bot",
  area: "ci",
  severity: "p2",
  confidence: "high",
  section: 4,
  title: "A bot keeps every kind of dependency up to date",
  remedy: "name each ecosystem and each folder in .github/dependabot.yml, or set Renovate up",
  check(repository) {
    const asked = ecosystemsOf(repository);
    const renovate = renovateOf(repository);
    const evidence: Evidence[] = [];
    if (renovate) {
      evidence.push(strength(renovate, 1, "Renovate looks after every manifest it finds"));
    }
    const [file] = repository.matching(/^\.github\/dependabot\.ya?ml$/);
    if (file) evidence.push(...judge(repository, file.path, renovate ? [] : asked));
    if (!file && !renovate) {
      for (const { names, manifest } of asked.slice(0, 1)) {
        const all = asked.map((one) => one.names[0]).join(", ");
        const message = `no bot raises what ${manifest} names (${all || names[0]})`;
        evidence.push(gap(".github/dependabot.yml", null, message));
      }
    }
    return conclude(evidence, { status: "not-applicable", summary: "there is no manifest" });
  },
};

type Asked = { names: string[]; manifest: string; folders: string[] };

function ecosystemsOf(repository: Repository): Asked[] {
  const found = ECOSYSTEMS.flatMap(([path, names]): Asked[] => {
    const files = repository.matching(path).filter(({ context, path: one }) =>
      context !== "test" && context !== "docs" && !/(^|\/)\.devcontainer\//.test(one)
    );
    const [first] = files;
    return first
      ? [{
        names,
        manifest: first.path,
        folders: [...new Set(files.map((one) => folderOf(one.path)))],
      }]
      : [];
  });
  const [workflow] = workflowsOf(repository).all;
  if (workflow) found.push({ names: ["github-actions"], manifest: workflow.file, folders: [""] });
  return found;
}

const folderOf = (path: string) => path.slice(0, Math.max(0, path.lastIndexOf("/")));

function renovateOf(repository: Repository): string | null {
  const [file] = repository.matching(
    /^(\.github\/|\.gitlab\/)?(renovate\.json5?|\.renovaterc(\.json5?)?)$/,
  );
  if (file) return file.path;
  return packagesOf(repository).find(({ folder, json }) =>
    folder === "" && isRecord(json["renovate"])
  )
    ?.file ?? null;
}

function judge(repository: Repository, path: string, asked: readonly Asked[]): Evidence[] {
  const file = repository.file(path);
  const root = file && repository.parse(file, repository.parsers.yaml)?.[0];
  if (!root) return [unknown(path, null, "Dependabot's settings can't be read")];
  const updates = items(at(root, "updates")).map((one) => ({
    line: one.line,
    name: text(at(one, "package-ecosystem")) ?? "",
    folders: [...items(at(one, "directory")), ...items(at(one, "directories"))]
      .map((folder) => (text(folder) ?? "").replace(/^\/+|\/+$/g, "")),
  }));
  const listed = at(root, "updates")?.line ?? 1;
  if (asked.length === 0) return [];
  return asked.map(({ names, manifest, folders }): Evidence => {
    const own = updates.filter(({ name }) => names.includes(name));
    const [first] = own;
    if (!first) {
      return gap(path, listed, `Dependabot is not told of ${names[0]}, which ${manifest} needs`);
    }
    const isCovered = (folder: string) =>
      own.some(({ folders: given }) => given.some((one) => covers(repository, one, folder)));
    const missed = names[0] === "github-actions"
      ? undefined
      : folders.find((one) => !isCovered(one));
    return missed === undefined
      ? strength(path, first.line, `Dependabot raises ${first.name}`)
      : weakness(path, first.line, `Dependabot doesn't look into /${missed} for ${first.name}`);
  });
}

/** A folder as named, by a pattern, or a member of the workspace whose root is named. */
function covers(repository: Repository, given: string, folder: string): boolean {
  if (given === folder || given === "**/*" || given === "**" || given === "*") return true;
  if (given.includes("*")) {
    const parts = given.split("/");
    const own = folder.split("/");
    if (parts.at(-1) === "**" || parts.at(-1) === "**/*") {
      return folder.startsWith(parts.slice(0, -1).join("/"));
    }
    return parts.length === own.length &&
      parts.every((one, index) => one === "*" || one === own[index]);
  }
  const root = packagesOf(repository).find((one) => one.folder === given);
  const isWorkspace = root?.json["workspaces"] !== undefined ||
    repository.file(given === "" ? "pnpm-workspace.yaml" : `${given}/pnpm-workspace.yaml`) !== null;
  const isInside = given === "" || folder.startsWith(`${given}/`);
  const uv = repository.file(given === "" ? "pyproject.toml" : `${given}/pyproject.toml`)?.text ??
    "";
  return isInside && (isWorkspace || uv.includes("[tool.uv.workspace]"));
}
