import type { Repository } from "../repository.ts";
import { ciOf } from "./ci-commands.ts";
import { toolOf } from "./shell-tools.ts";
import { stepsOf, workflowsOf } from "./workflows.ts";

/** A sign of where an artefact comes from: a list of its parts, a statement of its making, a signature. */
export type Provenance = {
  kind: "sbom" | "provenance" | "signature";
  /** Whether it is made, or expressly left out. */
  isOn: boolean;
  what: string;
  file: string;
  line: number;
};

const ACTIONS: [RegExp, Provenance["kind"]][] = [
  [/^anchore\/sbom-action$/, "sbom"],
  [/^cyclonedx\//, "sbom"],
  [/^(advanced-security|microsoft)\/.*sbom/, "sbom"],
  [/^actions\/attest-sbom$/, "sbom"],
  [/^actions\/attest(-build-provenance)?$/, "provenance"],
  [/^slsa-framework\/slsa-github-generator$/, "provenance"],
];

/**
 * Every sign of provenance in CI.
 *
 * @example
 * provenanceOf(repository).some(({ kind, isOn }) => kind === "sbom" && isOn);
 */
export function provenanceOf(repository: Repository): Provenance[] {
  return repository.once("provenance", () => [...inSteps(repository), ...inCommands(repository)]);
}

function inSteps(repository: Repository): Provenance[] {
  const workflows = workflowsOf(repository);
  const calls = workflows.all.flatMap(({ file, jobs }) =>
    jobs.flatMap(({ uses }) => uses ? [{ file, uses, given: [] }] : [])
  );
  const steps = stepsOf(workflows).flatMap(({ workflow, step }) =>
    step.uses ? [{ file: workflow.file, uses: step.uses, given: step.with }] : []
  );
  return [...calls, ...steps].flatMap(({ file, uses, given }): Provenance[] => {
    const known = ACTIONS.find(([name]) => name.test(uses.repository));
    const found: Provenance[] = known
      ? [{ kind: known[1], isOn: true, what: uses.repository, file, line: uses.line }]
      : [];
    // Attestations are signed; trivy and syft write lists when asked.
    if (known && /attest|slsa/.test(uses.repository)) {
      found.push({ kind: "signature", isOn: true, what: uses.repository, file, line: uses.line });
    }
    for (const { name, value, line } of given) {
      const isBuild = uses.repository === "docker/build-push-action" ||
        uses.repository === "docker/bake-action";
      if (isBuild && (name === "sbom" || name === "provenance")) {
        const isOn = !/^['"]?false['"]?$/.test(value.trim());
        found.push({ kind: name, isOn, what: `\`${name}: ${value.slice(0, 20)}\``, file, line });
      }
      if (/trivy/.test(uses.repository) && name === "format" && /cyclonedx|spdx/.test(value)) {
        found.push({ kind: "sbom", isOn: true, what: "trivy", file, line });
      }
    }
    return found;
  });
}

function inCommands(repository: Repository): Provenance[] {
  return ciOf(repository).commands.flatMap(({ command, file, line }): Provenance[] => {
    const { name, args } = toolOf(command);
    const add = (
      kind: Provenance["kind"],
      isOn = true,
    ): Provenance[] => [{ kind, isOn, what: name, file, line }];
    if (args.some((one) => /^(--version|--help|version)$/.test(one))) return [];
    if (name === "syft" || /cyclonedx|cdxgen|spdx-sbom|bom$/.test(name)) return add("sbom");
    if (name === "trivy" && args.some((one) => /cyclonedx|spdx/.test(one))) return add("sbom");
    if (name === "npm" && args[0] === "sbom") return add("sbom");
    if (name === "cosign") {
      if (args[0] === "attest" || args[0] === "attest-blob") {
        return [...add("provenance"), ...add("signature")];
      }
      return /^sign(-blob)?$/.test(args[0] ?? "") ? add("signature") : [];
    }
    if (name === "notation" && args[0] === "sign") return add("signature");
    if ((name === "npm" || name === "pnpm") && args.includes("--provenance")) {
      return [...add("provenance"), ...add("signature")];
    }
    if (name !== "docker") return [];
    return args.flatMap((one) => {
      const option = /^--(sbom|provenance)(?:=(.*))?$/.exec(one);
      return option ? add(option[1] === "sbom" ? "sbom" : "provenance", option[2] !== "false") : [];
    });
  });
}
