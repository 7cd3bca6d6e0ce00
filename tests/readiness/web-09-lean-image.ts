import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "WEB-09",
  cases: {
    "one stage with everything": {
      files: { Dockerfile: "FROM node:22\nCOPY . .\nRUN npm ci && npm run build\n" },
      status: "fail",
      severity: "p2",
      at: ["Dockerfile:3"],
    },
    "the modules of the build are copied whole": {
      files: {
        Dockerfile:
          "FROM node:22 AS build\nRUN npm ci\nFROM node:22\nCOPY --from=build /app/node_modules ./node_modules\n",
      },
      status: "warn",
      at: ["Dockerfile:4"],
    },
    "pruned, left out, standalone, or static": {
      files: {
        "a/Dockerfile":
          "FROM node:22 AS build\nRUN npm ci && npm prune --omit=dev\nFROM node:22\nCOPY --from=build /app/node_modules ./node_modules\n",
        "b/Dockerfile": "FROM node:22 AS build\nRUN npm ci\nFROM node:22\nRUN npm ci --omit=dev\n",
        "c/Dockerfile":
          "FROM node:22 AS build\nRUN pnpm install --frozen-lockfile\nFROM node:22\nCOPY --from=build /app/.next/standalone ./\n",
        "d/Dockerfile":
          "FROM node:22 AS build\nRUN yarn\nFROM nginx:1.27\nCOPY --from=build /app/x /usr/share/nginx/html\n",
      },
      status: "pass",
    },
    "an image without Node": {
      files: { Dockerfile: "FROM python:3.13\nRUN pip install a\n" },
      status: "not-applicable",
    },
  },
};
