import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (on: string, ...steps: string[]) =>
  [`on: ${on}`, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");

export const cases: Cases = {
  rule: "CI-12",
  cases: {
    "pushed and not signed": {
      files: { [PATH]: workflow("push", "      - run: docker buildx build --push -t a .") },
      status: "fail",
      severity: "p2",
      at: [`${PATH}:6`],
    },
    "stated, and signed by nobody": {
      files: {
        [PATH]: workflow(
          "push",
          "      - uses: docker/build-push-action@v6\n        with: { push: true, provenance: mode=max }",
        ),
      },
      status: "warn",
    },
    "signed by cosign passes": {
      files: {
        [PATH]: workflow(
          "push",
          "      - run: docker push acme/app",
          "      - run: cosign sign --yes acme/app@$DIGEST",
        ),
      },
      status: "pass",
    },
    "installing cosign signs nothing": {
      files: {
        [PATH]: workflow(
          "push",
          "      - uses: sigstore/cosign-installer@v3",
          "      - run: docker push acme/app\n      - run: cosign version",
        ),
      },
      status: "fail",
      at: [`${PATH}:7`],
    },
    "a library pushes no image": {
      files: { [PATH]: workflow("push", "      - run: npm publish") },
      status: "not-applicable",
    },
  },
};
