import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DEP-02",
  cases: {
    "no tag, latest, and a release past its end": {
      files: {
        Dockerfile: "FROM node AS a\nFROM python:latest AS b\nFROM node:19-alpine\n",
        "compose.yaml": "services:\n  cache:\n    image: redis\n",
      },
      status: "fail",
      severity: "p1",
      at: ["Dockerfile:1", "Dockerfile:2", "Dockerfile:3", "compose.yaml:3"],
    },
    "a pod's image, but not where kustomize sets its tag": {
      files: {
        "k8s/a.yaml":
          "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - { name: a, image: acme/a }\n",
      },
      status: "fail",
      at: ["k8s/a.yaml:6"],
    },
    "latest for when the deploy names no version warns": {
      files: { "compose.yaml": "services:\n  a:\n    image: acme/a:${TAG:-latest}\n" },
      status: "warn",
      severity: "p2",
    },
    "where kustomize sets it": {
      files: {
        "k8s/a.yaml":
          "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - { name: a, image: acme/a }\n",
        "k8s/kustomization.yaml": "images: [{ name: acme/a, newTag: 1.2.3 }]\n",
      },
      status: "unknown",
    },
    "a word in the place of a version warns": {
      files: { Dockerfile: "FROM node:lts-alpine\n" },
      status: "warn",
      severity: "p2",
    },
    "versions, digests, stages, scratch and arguments with a default": {
      files: {
        Dockerfile:
          "ARG TAG=3.13-slim\nFROM python:${TAG} AS base\nFROM base AS b\nFROM scratch AS c\n" +
          "FROM registry:5000/app@sha256:aa\n",
      },
      status: "pass",
    },
    "an argument without a default is unknown": {
      files: { Dockerfile: "ARG BASE\nFROM ${BASE}\n" },
      status: "unknown",
    },
    "the image that the repository builds itself may be latest": {
      files: {
        Dockerfile: "FROM node:22-slim\n",
        "compose.yaml":
          "services:\n  a:\n    image: acme/a:latest\n    build: .\n  b:\n    image: acme/a:latest\n",
      },
      status: "pass",
    },
    "nothing names an image": { files: { "a.py": "" }, status: "not-applicable" },
  },
};
