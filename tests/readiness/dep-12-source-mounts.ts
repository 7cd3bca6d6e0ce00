import type { Cases } from "../support/readiness-cases.ts";

const of = (source: string) => ({
  "api/main.py": "app = 1\n",
  "api/Dockerfile": "FROM a:1\n",
  "compose.yaml": `services:\n  api:\n    build: ./api\n    volumes:\n      - ${source}\n`,
});

export const cases: Cases = {
  rule: "DEP-12",
  cases: {
    "the code of the host over that of the image": {
      files: of("./api:/app"),
      status: "fail",
      severity: "p1",
      at: ["compose.yaml:5"],
    },
    "a file, a volume and a folder of data": {
      files: of(
        "./api/nginx.conf:/etc/nginx/nginx.conf\n      - data:/data\n      - ./uploads:/uploads",
      ),
      status: "pass",
    },
    "the override is development's": {
      files: {
        ...of("data:/data"),
        "compose.override.yaml": "services:\n  api:\n    volumes: ['./api:/app']\n",
      },
      status: "pass",
    },
    "nothing is built": {
      files: { "compose.yaml": "services:\n  a:\n    image: a:1\n" },
      status: "not-applicable",
    },
  },
};
