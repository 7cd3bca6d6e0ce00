import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

export const cases: Cases = {
  rule: "CI-11",
  cases: {
    "an image without a list, and one that leaves it out expressly": {
      files: { [PATH]: workflow("push", "      - run: docker push acme/app") },
      status: "fail",
      severity: "p2",
      at: [`${PATH}:6`],
    },
    "`provenance: false` is a decision against it": {
      files: {
        [PATH]: workflow(
          "push",
          "      - uses: docker/build-push-action@v6",
          "        with:",
          "          push: true",
          "          provenance: false",
        ),
      },
      status: "fail",
      at: [`${PATH}:9`],
    },
    "a list from the build, from syft, or an attestation": {
      files: {
        [PATH]: workflow(
          "push",
          "      - uses: docker/build-push-action@v6\n        with: { push: true, sbom: true }",
          "      - run: syft app -o spdx-json > sbom.json",
          "      - uses: actions/attest-build-provenance@v2",
        ),
      },
      status: "pass",
    },
    "a build that is not pushed gives nothing out": {
      files: {
        [PATH]: workflow(
          "push",
          "      - uses: docker/build-push-action@v6\n        with: { push: false }",
          "      - run: echo syft",
        ),
      },
      status: "not-applicable",
    },
  },
};
