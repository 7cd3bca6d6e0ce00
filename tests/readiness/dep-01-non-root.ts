import type { Cases } from "../support/readiness-cases.ts";

const compose = (more: string) => `services:\n  api:\n    build: { context: . }\n${more}`;

export const cases: Cases = {
  rule: "DEP-01",
  cases: {
    "no USER in the stage that is built is a gap": {
      files: { Dockerfile: 'FROM python:3.13-slim\nRUN pip install app\nCMD ["app"]\n' },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:1"],
    },
    "the last USER counts, not the first": {
      files: { Dockerfile: "FROM node:22\nUSER node\nRUN x\nUSER root\n" },
      status: "fail",
      at: ["Dockerfile:4"],
    },
    "a user is inherited through the stage it builds on": {
      files: { Dockerfile: 'FROM node:22 AS base\nUSER node\nFROM base AS run\nCMD ["node"]\n' },
      status: "pass",
    },
    "the stage that compose targets counts, not the last": {
      files: {
        Dockerfile: "FROM node:22 AS prod\nUSER node\nFROM prod AS dev\nUSER root\n",
        "compose.yaml": compose("").replace("context: .", "context: ., target: prod"),
      },
      status: "pass",
    },
    "compose sets the user": {
      files: { Dockerfile: "FROM node:22\n", "compose.yaml": compose("    user: '1000:1000'\n") },
      status: "pass",
    },
    "compose sets root over the image's user": {
      files: {
        Dockerfile: "FROM node:22\nUSER node\n",
        "compose.yaml": compose("    user: root\n"),
      },
      status: "fail",
      at: ["compose.yaml:2"],
    },
    "a base that is not root, and an entry point that steps down": {
      files: {
        Dockerfile: "FROM gcr.io/distroless/python3-debian12:nonroot\nCOPY a /\n",
        "b/Dockerfile": 'FROM debian:12\nCOPY entry.sh /\nENTRYPOINT ["/entry.sh"]\n',
        "b/entry.sh": '#!/bin/sh\nchown -R app /data\nexec gosu app "$@"\n',
      },
      status: "pass",
    },
    "nginx, whose workers step down, warns": {
      files: {
        Dockerfile: "FROM node:22 AS build\nRUN x\nFROM nginx:1.27\nCOPY --from=build /a /b\n",
      },
      status: "warn",
      severity: "p2",
    },
    "an image for development beside production's is not judged": {
      files: {
        Dockerfile: "FROM node:22\nUSER node\n",
        "Dockerfile.dev": "FROM node:22\n",
      },
      status: "pass",
    },
    "an argument in the place of the user is unknown": {
      files: { Dockerfile: "FROM node:22\nARG UID\nUSER ${UID}\n" },
      status: "unknown",
    },
    "a heredoc's USER is text": {
      files: { Dockerfile: "FROM node:22\nRUN cat <<EOF > x\nUSER node\nEOF\n" },
      status: "fail",
      at: ["Dockerfile:1"],
    },
    "no Dockerfile": { files: { "README.md": "USER root" }, status: "not-applicable" },
  },
};
