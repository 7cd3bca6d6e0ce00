import type { Cases } from "../support/readiness-cases.ts";

const service = (more: string) => `services:\n  a:\n    image: a:1\n    ${more}\n`;

export const cases: Cases = {
  rule: "DEP-07",
  cases: {
    "privileged, a capability, the socket for writing, the host's processes": {
      files: {
        "compose.yaml": service(
          "privileged: true\n    cap_add:\n      - SYS_ADMIN\n    pid: host\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock",
        ),
      },
      status: "fail",
      severity: "p0",
      at: ["compose.yaml:4", "compose.yaml:6", "compose.yaml:7", "compose.yaml:9"],
    },
    "the socket read-only warns": {
      files: {
        "compose.yaml": service("volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']"),
      },
      status: "warn",
      severity: "p2",
    },
    "the host's network is a step less": {
      files: { "compose.yaml": service("network_mode: host") },
      status: "fail",
      severity: "p1",
    },
    "in a fragment for development it warns": {
      files: {
        "compose.yaml": service("privileged: false"),
        "compose.override.yaml": service("privileged: true"),
      },
      status: "warn",
      severity: "p2",
      at: ["compose.override.yaml:4"],
    },
    "a capability that binds a low port is none of these": {
      files: { "compose.yaml": service("cap_add: [NET_BIND_SERVICE]") },
      status: "pass",
    },
    "no compose": { files: { Dockerfile: "FROM a:1\n" }, status: "not-applicable" },
  },
};
