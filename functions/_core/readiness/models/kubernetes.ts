import type { YamlNode } from "../parsers.ts";
import type { Repository } from "../repository.ts";
import { at, entries, text } from "../yaml-node.ts";

/** A container of a workload that plain manifests define; templates of Helm are not rendered. */
export type Container = {
  file: string;
  line: number;
  /** As `Deployment api / web`. */
  name: string;
  isInit: boolean;
  image: string | null;
  hasLiveness: boolean;
  hasReadiness: boolean;
  /** Whether a limit of memory or CPU is set. */
  hasLimits: boolean;
  /** `runAsNonRoot: true` or a `runAsUser` other than 0, of the container or its pod. */
  isNonRoot: boolean | null;
  isPrivileged: boolean;
  node: YamlNode;
};

const KINDS = new Set(["Deployment", "StatefulSet", "DaemonSet", "Rollout"]);

/**
 * The containers of Deployments and their like in plain YAML.
 *
 * @example
 * containers(repository).filter(({ hasReadiness }) => !hasReadiness);
 */
export function containers(repository: Repository): Container[] {
  return repository.once("kubernetes", () =>
    repository.matching(/\.ya?ml$/).flatMap((file) => {
      if (["test", "docs", "ci"].includes(file.context) || file.text === null) return [];
      if (!/^kind:\s*["']?(Deployment|StatefulSet|DaemonSet|Rollout)\b/m.test(file.text)) return [];
      // A template is no YAML yet.
      if (file.text.includes("{{")) return [];
      const documents = repository.parse(file, repository.parsers.yaml) ?? [];
      return documents.flatMap((root) => read(file.path, root));
    }));
}

function read(file: string, root: YamlNode): Container[] {
  const kind = text(at(root, "kind")) ?? "";
  if (!KINDS.has(kind)) return [];
  const pod = at(root, "spec", "template", "spec");
  const owner = `${kind} ${text(at(root, "metadata", "name")) ?? "?"}`;
  return ["containers", "initContainers"].flatMap((key) => {
    const list = at(pod, key);
    return (list?.kind === "seq" ? list.items : []).map((node): Container => {
      const user = at(node, "securityContext", "runAsUser") ??
        at(pod, "securityContext", "runAsUser");
      const nonRoot = at(node, "securityContext", "runAsNonRoot") ??
        at(pod, "securityContext", "runAsNonRoot");
      const limits = entries(at(node, "resources", "limits"));
      return {
        file,
        line: node.line,
        name: `${owner} / ${text(at(node, "name")) ?? "?"}`,
        isInit: key === "initContainers",
        image: text(at(node, "image")),
        hasLiveness: at(node, "livenessProbe") !== null,
        hasReadiness: at(node, "readinessProbe") !== null,
        hasLimits: limits.some(({ key: name }) => name === "memory" || name === "cpu"),
        isNonRoot: text(nonRoot) === "true" || (user !== null && text(user) !== "0")
          ? true
          : text(user) === "0"
          ? false
          : null,
        isPrivileged: text(at(node, "securityContext", "privileged")) === "true",
        node,
      };
    });
  });
}
