import type { Cases } from "../support/readiness-cases.ts";

const URL = "https://example.com/v1/tool";

export const cases: Cases = {
  rule: "CI-04",
  cases: {
    "a program that is fetched and made to run": {
      files: {
        Dockerfile: [
          "FROM debian:12",
          `RUN curl -fsSLo /usr/local/bin/tool ${URL} \\`,
          "    && chmod +x /usr/local/bin/tool",
          `RUN wget -q ${URL} && mv tool /usr/local/bin/`,
          `RUN wget ${URL}.deb && dpkg -i tool.deb`,
          `RUN curl -o i.sh ${URL}.sh && sh i.sh`,
          "",
        ].join("\n"),
      },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:2", "Dockerfile:4", "Dockerfile:5", "Dockerfile:6"],
    },
    "an archive that is only unpacked warns": {
      files: { Dockerfile: `FROM a\nRUN curl -L ${URL}.tgz | tar xz -C /opt\n` },
      status: "warn",
      severity: "p2",
      at: ["Dockerfile:2"],
    },
    "a checksum before it passes": {
      files: {
        Dockerfile: `FROM a\nRUN curl -fo tool ${URL} && echo "${
          "a".repeat(64)
        }  tool" | sha256sum -c - && install tool /usr/local/bin\n`,
        ".github/workflows/ci.yml":
          `on: push\njobs:\n  a:\n    steps:\n      - run: |\n          curl -Lo t ${URL}\n          cosign verify-blob t --key k\n          chmod +x t\n`,
      },
      status: "pass",
    },
    "a file that is added and run, and one with its checksum": {
      files: {
        Dockerfile: `FROM a\nADD ${URL}.sh /i.sh\nADD --checksum=sha256:${
          "a".repeat(64)
        } ${URL} /b\nRUN sh /i.sh\n`,
      },
      status: "fail",
      at: ["Dockerfile:2"],
    },
    "data, keys and the health of a service are no programs": {
      files: {
        Dockerfile: [
          "FROM a",
          `RUN curl -o data.json ${URL}.json && cat data.json`,
          `RUN curl -fsSL ${URL}.asc -o /etc/apt/keyrings/tool.asc && chmod a+r /etc/apt/keyrings/tool.asc`,
          "RUN curl -f http://localhost:8000/health",
          "",
        ].join("\n"),
      },
      status: "not-applicable",
    },
  },
};
