import type { Cases } from "../support/readiness-cases.ts";

const PATH = ".github/workflows/ci.yml";
const workflow = (rights: string, ...steps: string[]) =>
  ["on: push", rights, "jobs:", "  a:", "    runs-on: x", "    steps:", ...steps, ""].join("\n");
const READ = "permissions: { contents: read }";

export const cases: Cases = {
  rule: "CI-03",
  cases: {
    "a script from the net goes into a shell": {
      files: {
        [PATH]: workflow(
          READ,
          "      - run: |",
          "          set -e",
          "          curl -LsSf https://get.example.com/install.sh | sh",
        ),
      },
      status: "fail",
      severity: "p1",
      at: [`${PATH}:9`],
    },
    "with secrets in the job it stops everything": {
      files: {
        [PATH]: workflow(
          READ,
          "      - run: curl https://get.example.com | sudo -E bash -s -- --yes",
          "      - run: make deploy",
          "        env: { TOKEN: '${{ secrets.DEPLOY_TOKEN }}' }",
        ),
        ".github/workflows/b.yml": workflow(
          "permissions: { id-token: write }",
          "      - run: bash <(wget -qO- https://get.example.com)",
        ),
      },
      status: "fail",
      severity: "p0",
      at: [`${PATH}:7`, ".github/workflows/b.yml:7"],
    },
    "every spelling of it, in images and called shells": {
      files: {
        "Dockerfile": [
          "FROM debian:12",
          "RUN apt-get update && \\",
          "    # the runtime",
          "    curl -fsSL https://deb.example.com/setup | bash - && \\",
          "    apt-get install -y node",
          'RUN sh -c "$(curl -fsSL https://get.example.com)"',
          "RUN bash -lc 'wget -O- https://get.example.com | python3 -'",
          "RUN <<EOF",
          'eval "$(curl https://get.example.com/env)"',
          "EOF",
          "",
        ].join("\n"),
      },
      status: "fail",
      at: ["Dockerfile:4", "Dockerfile:6", "Dockerfile:7", "Dockerfile:9"],
    },
    "scripts that people start weigh less": {
      files: { "scripts/setup.sh": "#!/bin/sh\ncurl https://get.example.com | sh\n" },
      status: "fail",
      severity: "p2",
      at: ["scripts/setup.sh:2"],
    },
    "PowerShell's form": {
      files: {
        [PATH]: workflow(
          READ,
          "      - shell: pwsh\n        run: irm https://get.example.com | iex",
        ),
      },
      status: "fail",
      at: [`${PATH}:8`],
    },
    "data, keys, texts and comments are none": {
      files: {
        [PATH]: workflow(
          READ,
          "      - run: |",
          "          curl https://api.example.com/v1 | jq -r .name",
          "          curl https://api.example.com/v1 | python3 -m json.tool",
          "          curl https://api.example.com/v1 | python -c 'import sys'",
          "          curl https://example.com/key | gpg --dearmor -o /etc/k.gpg",
          "          curl https://example.com/a.tgz | tar xz",
          "          # curl https://get.example.com | sh",
          "          echo 'run: curl https://get.example.com | sh'",
          "          cat > README <<EOF",
          "          curl https://get.example.com | sh",
          "          EOF",
          "          NAME=$(curl https://api.example.com/v1 | jq -r .name)",
          '          bash -c "echo $(curl https://api.example.com/ip)"',
          "          curl http://localhost:8000/health | sh",
        ),
      },
      status: "pass",
    },
    "a script that can't be read and speaks of no download is none of this": {
      files: { [PATH]: workflow(READ, '      - run: echo "a') },
      status: "pass",
    },
    "a script that can't be read is unknown": {
      files: { [PATH]: workflow(READ, '      - run: curl "a') },
      status: "unknown",
    },
  },
};
