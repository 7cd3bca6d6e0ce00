import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseDockerfile } from "../functions/_core/adapters/readiness-dockerfile.ts";
import { compose, isOneShot } from "../functions/_core/readiness/models/compose.ts";
import {
  dependencies,
  environment,
  isOpen,
  ports,
  type Service,
  textAt,
  volumes,
} from "../functions/_core/readiness/models/compose-service.ts";
import {
  parseCaddyfile,
  parseNginx,
  walk,
} from "../functions/_core/readiness/models/directives.ts";
import { dockerfiles, effective, root } from "../functions/_core/readiness/models/dockerfiles.ts";
import { productionImages } from "../functions/_core/readiness/models/images.ts";
import { interpolate, settled } from "../functions/_core/readiness/models/interpolation.ts";
import { traefikRouters } from "../functions/_core/readiness/models/proxies.ts";
import { repositoryOf } from "./support/readiness-cases.ts";
import { depth } from "./support/depth.ts";

function only(files: Record<string, string>, name: string, index = 0): Service {
  const service = compose(repositoryOf(files)).projects[index]?.services
    .find((one) => one.name === name);
  assert.ok(service, `no service ${name}`);
  return service;
}

describe("parseDockerfile()", () => {
  it("keeps the spaces of the words of a JSON form", () => {
    const [cmd] = parseDockerfile('CMD ["sh", "-c", "a && b"]');
    assert.deepEqual(cmd?.exec, ["sh", "-c", "a && b"]);
  });
  it("joins continuations over comments and blank lines, and counts their lines", () => {
    const [run, user] = parseDockerfile("RUN a \\\n\n  # why\n  b\nUSER app\n");
    assert.equal(run?.arguments, "a   b");
    assert.deepEqual([run?.line, run?.endLine, user?.line], [1, 4, 5]);
  });
  it("takes heredocs out, chomped and quoted ones too, and leaves a here-string alone", () => {
    const [run, user] = parseDockerfile(
      "RUN cat <<EOF && sh <<-'B'\nUSER root\nEOF\n\tx\n\tB\nUSER app\n",
    );
    assert.deepEqual(run?.heredocs, [{ text: "USER root", line: 2 }, { text: "x", line: 4 }]);
    assert.equal(user?.arguments, "app");
    assert.equal(parseDockerfile('RUN a <<< "b"\nUSER app').length, 2);
  });
  it("obeys the escape directive", () => {
    assert.equal(parseDockerfile("# escape=`\nRUN a `\n b\nUSER c:\\\nUSER d").length, 3);
  });
  it("refuses a heredoc without an end, and what is no Dockerfile", () => {
    assert.throws(() => parseDockerfile("RUN <<EOF\nx"), SyntaxError);
    assert.throws(() => parseDockerfile("{ }"), SyntaxError);
    assert.throws(() => parseDockerfile("# nothing"), SyntaxError);
  });
});

describe("dockerfiles()", () => {
  const files = {
    Dockerfile: [
      "ARG TAG=22-slim",
      "FROM node:${TAG} AS base",
      "USER node",
      'ENTRYPOINT ["tini", "--"]',
      "FROM base AS dev",
      "USER root",
      "FROM base AS prod",
      'CMD ["node", "server.js"]',
    ].join("\n"),
  };
  it("resolves the base, the alias and what is inherited through it", () => {
    const [file] = dockerfiles(repositoryOf(files));
    const last = file?.stages.at(-1);
    assert.ok(last);
    assert.equal(root(last).base.image, "node:22-slim");
    assert.equal(effective(last, "USER")?.instruction.arguments, "node");
    assert.deepEqual(effective(last, "ENTRYPOINT")?.instruction.exec, ["tini", "--"]);
  });
  it("an entry point of a stage's own takes the command away that it would inherit", () => {
    const [file] = dockerfiles(
      repositoryOf({ Dockerfile: "FROM a AS b\nCMD x\nFROM b\nENTRYPOINT y\n" }),
    );
    assert.equal(effective(file?.stages[1] ?? assert.fail(), "CMD"), null);
  });
  it("leaves what is no Dockerfile alone", () => {
    const paths = ["Dockerfile.dockerignore", "Dockerfile.md", "Dockerfile.j2", "docker/a.ts"];
    const found = dockerfiles(repositoryOf(Object.fromEntries(paths.map((p) => [p, "FROM a"]))));
    assert.deepEqual(found, []);
  });
  it("production builds the stage that its compose names, not the last", () => {
    const images = productionImages(repositoryOf({
      ...files,
      Dockerfile: `${files.Dockerfile}\nFROM base AS test\n`,
      "compose.yaml": "services: { web: { build: { context: ., target: prod } } }\n",
      "compose.override.yaml": "services: { web: { build: { target: dev } } }\n",
    }));
    assert.deepEqual(images.map(({ stage }) => stage.alias), ["prod"]);
  });
});

describe("compose()", () => {
  const base = "services:\n  api:\n    image: a\n    ports: ['8000:8000']\n    environment:\n" +
    "      A: ${A:-1}\n      B: x\n    depends_on: [db]\n  db:\n    image: postgres:18\n";
  it("takes the default file for production, its override for development", () => {
    const { projects } = compose(repositoryOf({
      "docker-compose.yml": base,
      "docker-compose.override.yml": "services: { db: { ports: ['5432:5432'] } }\n",
    }));
    assert.deepEqual(
      projects.map(({ files, isProduction }) => [files.length, isProduction]),
      [[1, true], [2, false]],
    );
  });
  it("merges as compose does: keys by name, lists joined, !reset and !override obeyed", () => {
    const files = {
      "compose.yaml": base,
      "compose.prod.yaml": [
        "services:",
        "  api:",
        "    ports: !override ['127.0.0.1:8000:8000']",
        "    environment: [B=y, C=z]",
        "    depends_on: { db: { condition: service_healthy } }",
        "    restart: always",
        "  db:",
        "    ports: ['5432:5432']",
      ].join("\n"),
    };
    const api = only(files, "api");
    assert.deepEqual(ports(api).map(isOpen), [false]);
    assert.deepEqual(environment(api).map(({ name, value }) => `${name}=${value}`), [
      "A=${A:-1}",
      "B=y",
      "C=z",
    ]);
    assert.equal(dependencies(api)[0]?.condition, "service_healthy");
    assert.equal(textAt(api, "restart"), "always");
    assert.deepEqual(ports(only(files, "db")).map(isOpen), [true]);
  });
  it("what a deploy's workflow runs is production, whatever it is called", () => {
    const { projects } = compose(repositoryOf({
      "infra/dev.compose.yml": base,
      ".github/workflows/deploy.yml":
        "jobs:\n  ship:\n    steps:\n      - run: docker compose -f infra/dev.compose.yml up -d\n",
    }));
    assert.deepEqual(projects.map(({ isProduction }) => isProduction), [true]);
  });
  it("no compose file is production where another platform is and nothing deploys compose", () => {
    const { projects } = compose(repositoryOf({ "compose.yaml": base, "fly.toml": "app = 'a'\n" }));
    assert.deepEqual(projects.map(({ isProduction }) => isProduction), [false]);
  });
  it("follows include and extends, and ends where they go in a circle", () => {
    const files = {
      "compose.yaml": "include: [db/compose.yaml]\nservices:\n  api:\n" +
        "    extends: { file: common.yml, service: app }\n    init: true\n",
      "db/compose.yaml": "include: [../compose.yaml]\nservices: { db: { image: postgres } }\n",
      "common.yml": "services: { app: { extends: { service: app }, image: a, restart: always } }\n",
    };
    assert.equal(textAt(only(files, "api"), "restart"), "always");
    assert.ok(only(files, "db"));
  });
  it("ends where every fragment includes all others many times", () => {
    const paths = Array.from({ length: 20 }, (_, index) => `c${index}-compose.yaml`);
    const text = `include: [${[...paths, ...paths].join(", ")}]\nservices: { a: { image: b } }\n`;
    compose(repositoryOf(Object.fromEntries(paths.map((path) => [path, text]))));
  });
  it("reads ports in every form", () => {
    const api = only({
      "compose.yaml":
        "services:\n  api:\n    image: a\n    ports:\n      - 80:80\n      - '[::1]:1:1'\n" +
        "      - '${BIND:-127.0.0.1}:2:2'\n      - '${BIND}:3:3'\n      - '${PORT:-8000}:8000/tcp'\n" +
        "      - { target: 5, published: 6, host_ip: 127.0.0.1 }\n      - '9000'\n",
    }, "api");
    assert.deepEqual(ports(api).map(isOpen), [true, false, false, null, true, false, true]);
  });
  it("reads volumes in every form, a later one of the same target in place of an earlier", () => {
    const api = only({
      "compose.yaml":
        "services:\n  api:\n    image: a\n    volumes:\n      - .:/app\n      - data:/d:ro\n" +
        "      - { type: bind, source: ./x, target: /app, read_only: true }\n",
    }, "api");
    assert.deepEqual(
      volumes(api).map(({ kind, target, isReadOnly }) => [kind, target, isReadOnly]),
      [
        ["bind", "/app", true],
        ["volume", "/d", true],
      ],
    );
  });
  it("knows what ends by itself", () => {
    const [project] = compose(repositoryOf({
      "compose.yaml": "services:\n  job: { image: a }\n  api:\n    image: a\n" +
        "    depends_on: { job: { condition: service_completed_successfully } }\n",
    })).projects;
    assert.ok(project);
    assert.deepEqual(project.services.map((one) => isOneShot(one, project)), [true, false]);
  });
  it("traefik's routers are read from labels, their names with references too", () => {
    const [router] = traefikRouters(repositoryOf({
      "compose.yaml": "services:\n  api:\n    image: a\n    labels:\n" +
        "      - traefik.http.routers.${STACK?x}-api.rule=Host(`a`)\n" +
        "      - traefik.http.routers.${STACK?x}-api.middlewares=auth@docker,b\n",
    }));
    assert.deepEqual(router?.middlewares, ["auth", "b"]);
  });
});

describe("the languages of proxies", () => {
  it("a Caddyfile is sites, blocks, snippets and heredocs", () => {
    const tree = parseCaddyfile(
      "{\n\temail a@b.c\n}\n(s) {\n\theader X {args[0]}\n}\na.com,\nb.com {\n" +
        "\timport s\n\trespond <<TXT\n\t} {\n\tTXT 200\n\treverse_proxy app:8000 {\n" +
        "\t\theader_up X-Real-IP {remote_host} # c\n\t}\n}\n",
    );
    assert.deepEqual(tree.map(({ name, line }) => `${name}:${line}`), [":1", "(s):4", "a.com,:7"]);
    const up = walk(tree).find(({ name }) => name === "header_up");
    assert.deepEqual([up?.args, up?.line], [["X-Real-IP", "{remote_host}"], 14]);
  });
  it("nginx is words, ends and blocks", () => {
    const tree = parseNginx(
      'server { # c }\n  set $a "x;y}";\n  location ~ ^/a{2} { proxy_pass http://${UP}:1; }\n}\n',
    );
    assert.deepEqual(walk(tree).find(({ name }) => name === "set")?.args, ["$a", "x;y}"]);
  });
  it("blocks that don't close are refused", () => {
    for (const text of ["a {", "}", "a {\n".repeat(1e5)]) {
      assert.throws(() => parseCaddyfile(text), SyntaxError);
      assert.throws(() => parseNginx(text), SyntaxError);
    }
  });
});

describe("interpolate()", () => {
  it("reads defaults inside defaults, and a doubled dollar", () => {
    assert.equal(settled(interpolate("$$a ${A:-${B-b}} ")), "$a b ");
    assert.equal(settled(interpolate("${A:?must be set}")), null);
  });
});

describe("the fronts of Dockerfiles, proxies and compose", () => {
  const piece = fc.constantFrom(
    ..."FROM a|RUN |CMD [|\"|'|\\|\n|<<EOF|EOF|{|}|;|#|${|:-|\t|`|USER|--x=|services:|  a: &x|*x|- |$"
      .split("|"),
  );
  const text = fc.array(fc.oneof(piece, fc.string({ maxLength: 3 })), { maxLength: 200 })
    .map((all) => all.join(""));
  it("neither crash nor hang on anything", () => {
    fc.assert(
      fc.property(text, (written) => {
        for (const parse of [parseDockerfile, parseCaddyfile, parseNginx]) {
          try {
            parse(written);
          } catch (error) {
            assert.ok(error instanceof SyntaxError, String(error));
          }
        }
        settled(interpolate(written));
        const repository = repositoryOf({ "compose.yaml": written, Dockerfile: written });
        productionImages(repository);
      }),
      { numRuns: depth({ quick: 200, full: 3_000 }) },
    );
  });
  it("take what is long in a second each", () => {
    const long = [
      `RUN ${"a b ".repeat(2e5)}`,
      `RUN ${"a \\\n".repeat(2e5)}`,
      `CMD [${'"a",'.repeat(2e5)}`,
      `RUN a${" ".repeat(8e5)}b`,
      `RUN ${"<<A ".repeat(5e4)}\n${"A\n".repeat(5e4)}`,
    ];
    for (const one of long) {
      const start = performance.now();
      parseDockerfile(one);
      assert.ok(performance.now() - start < 3000);
    }
  });
});
