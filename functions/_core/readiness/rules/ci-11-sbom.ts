import { gap, strength } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { imagePushesOf, releasesOf } from "../models/deploys.ts";
import { provenanceOf } from "../models/provenance.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** On the day of the next log4j, a list of parts answers in a minute what reading images answers in a week. */
export const sbom: Rule = {
  id: "CI-11",
  name: "sbom",
  area: "ci",
  severity: "p2",
  confidence: "medium",
  section: 4,
  title: "What is built says what it is made of, and how it was made",
  remedy:
    "set `sbom: true` and `provenance: mode=max` where the image is built, or add an SBOM step",
  check(repository) {
    const made = [...imagePushesOf(repository), ...releasesOf(repository)];
    const found = provenanceOf(repository).filter(({ kind }) => kind !== "signature");
    const evidence = found.map(({ isOn, what, kind, file, line }): Evidence =>
      isOn
        ? strength(
          file,
          line,
          `${what} makes ${kind === "sbom" ? "a list of parts" : "a statement of the build"}`,
        )
        : gap(file, line, `${what} leaves it out expressly`)
    );
    const [first] = made;
    if (first && !found.some(({ isOn }) => isOn) && evidence.length === 0) {
      evidence.push(
        gap(
          first.file,
          first.line,
          `${first.what} gives something out without a list of its parts`,
        ),
      );
    }
    evidence.push(...unreadWorkflows(workflowsOf(repository)));
    return conclude(evidence, withoutWorkflows(repository, "CI gives nothing out"));
  },
};
