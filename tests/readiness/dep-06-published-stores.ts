import type { Cases } from "../support/readiness-cases.ts";

const db = (ports: string) => `services:\n  db:\n    image: postgres:18\n    ports: [${ports}]\n`;

export const cases: Cases = {
  rule: "DEP-06",
  cases: {
    "a port on every interface is a gap": {
      files: { "compose.yaml": db("'5432:5432'") },
      status: "fail",
      severity: "p1",
      at: ["compose.yaml:4"],
    },
    "a port with a default from outside is on every interface all the same": {
      files: { "compose.yaml": db("'${DB_PORT:-5432}:5432'") },
      status: "fail",
    },
    "a database whose image is built here on that of one": {
      files: {
        "db/Dockerfile": "FROM docker.io/postgres:17\nCOPY x /x\n",
        "compose.yaml": "services:\n  data:\n    build: ./db\n    ports: ['5432:5432']\n",
      },
      status: "fail",
      at: ["compose.yaml:4"],
    },
    "this host alone, by a default too": {
      files: { "compose.yaml": db("'127.0.0.1:5432:5432', '${BIND:-127.0.0.1}:5433:5432'") },
      status: "pass",
    },
    "the override is development's": {
      files: {
        "compose.yaml": "services:\n  db:\n    image: postgres:18\n",
        "compose.override.yaml": db("'5432:5432'"),
      },
      status: "pass",
    },
    "an address that is given from outside is unknown": {
      files: { "compose.yaml": db("'${BIND}:5432:5432'") },
      status: "unknown",
    },
    "where the only file is for development, it is what there is to judge": {
      files: { "docker-compose.dev.yml": db("'5432:5432'") },
      status: "fail",
      severity: "p1",
    },
    "where Vercel runs production, a database on a desk is nobody's business": {
      files: { "vercel.json": "{}", "docker-compose.yml": db("'5432:5432'") },
      status: "not-applicable",
    },
    "an application's port is not a store's": {
      files: { "compose.yaml": "services:\n  a:\n    image: acme/a:1\n    ports: ['80:80']\n" },
      status: "not-applicable",
    },
  },
};
