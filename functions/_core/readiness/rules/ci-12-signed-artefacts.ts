import { gap, strength, weakness } from "../evidence.ts";
import { withoutWorkflows } from "../models/ci-absence.ts";
import { imagePushesOf } from "../models/deploys.ts";
import { provenanceOf } from "../models/provenance.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A signature is what lets the one who deploys tell this build from one that somebody else pushed. */
export const signedArtefacts: Rule = {
  id: "CI-12",
  name: "signed-artefacts",
  area: "ci",
  severity: "p2",
  confidence: "medium",
  section: 4,
  title: "Images that CI pushes are signed",
  remedy: "sign the digest with cosign, or attest it with actions/attest-build-provenance",
  check(repository) {
    const [push] = imagePushesOf(repository);
    const signs = provenanceOf(repository).filter(({ kind, isOn }) => kind === "signature" && isOn);
    const statement = provenanceOf(repository).find(({ kind, isOn }) =>
      kind === "provenance" && isOn
    );
    const evidence: Evidence[] = push
      ? signs.map(({ what, file, line }) => strength(file, line, `${what} signs`))
      : [];
    if (push && signs.length === 0) {
      evidence.push(
        statement
          ? weakness(statement.file, statement.line, "the build is stated, and nobody signs it")
          : gap(push.file, push.line, `${push.what} pushes an image that nobody signs`),
      );
    }
    if (push || evidence.length > 0) evidence.push(...unreadWorkflows(workflowsOf(repository)));
    return conclude(evidence, withoutWorkflows(repository, "CI pushes no image"));
  },
};
