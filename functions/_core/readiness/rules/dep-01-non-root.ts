import { gap, strength, unknown, weakness } from "../evidence.ts";
import { textAt } from "../models/compose-service.ts";
import { effective, type Placed, root, unreadDockerfiles } from "../models/dockerfiles.ts";
import { type Image, productionImages } from "../models/images.ts";
import { interpolate, settled } from "../models/interpolation.ts";
import { containers } from "../models/kubernetes.ts";
import { startOf } from "../models/start.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Images whose own user is not root, and those that step down by themselves when they start. */
const NON_ROOT =
  /(:|-)nonroot|(^|\/)(chainguard|bitnami|bitnamilegacy)\/|cgr\.dev\/|nginx-unprivileged|(^|\/)(grafana|temporalio|hasura|prom|minio)\/|(^|\/)(postgrest|keycloak)/i;
const STEPS_DOWN =
  /(^|\/)(postgres|postgis|redis|valkey|mysql|mariadb|mongo|rabbitmq|timescaledb|pgvector)(:|@|$|\/)/i;
const WEB_SERVERS = /(^|\/)(nginx|caddy|httpd|traefik|haproxy)(:|@|$)/i;
const ROOT = /^(root|0)(:.*)?$/;

/** A hole in the application is a hole in the container; as root it is one step from the host. */
export const nonRoot: Rule = {
  id: "DEP-01",
  name: "non-root",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "What production runs in containers is not root",
  remedy: "create a user in the image and end its final stage with `USER` and that user",
  check(repository) {
    const evidence = productionImages(repository).map((image) => judge(repository, image));
    for (const { file, reason } of unreadDockerfiles(repository)) {
      evidence.push(unknown(file, null, `it can't be read: ${reason}`));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no Dockerfile" });
  },
};

function judge(repository: Repository, image: Image): Evidence {
  const { stage, services, dockerfile } = image;
  const more = { isProduction: true };
  const path = dockerfile.path;
  for (const { service } of services) {
    const user = textAt(service, "user");
    if (user !== null && ROOT.test(user)) {
      return gap(service.file, service.line, `the service ${service.name} sets user ${user}`, more);
    }
  }
  if (services.length > 0 && services.every(({ service }) => textAt(service, "user") !== null)) {
    return strength(path, stage.line, "compose sets another user for each of its services");
  }
  const user = effective(stage, "USER");
  if (user) return ofUser(user, repository, image);
  const { image: base, written } = root(stage).base;
  const line = stage.line;
  if (base === null) return unknown(path, line, `no USER, and the base ${written} is an argument`);
  if (NON_ROOT.test(base)) return strength(path, line, `its base ${base} is not root`);
  if (STEPS_DOWN.test(base)) {
    return strength(path, line, `its base ${base} steps down when it starts`);
  }
  const start = startOf(repository, { stage });
  const stepping = start?.commands.find(({ command: { wrappers, program } }) =>
    [...wrappers, program].some((one) => /^(gosu|su-exec|setpriv|runuser|chroot)$/.test(one))
  );
  if (stepping) {
    return strength(stepping.file, stepping.command.line, "it steps down when it starts");
  }
  const set = containers(repository).filter(({ isInit }) => !isInit);
  if (set.length > 0 && set.every(({ isNonRoot }) => isNonRoot === true)) {
    return strength(path, line, "each of its pods sets runAsNonRoot or a user");
  }
  if (WEB_SERVERS.test(base)) {
    const message = `no USER: the master process of ${base} runs as root`;
    return weakness(path, line, message, { ...more, severity: "p2" });
  }
  return gap(path, line, `the final stage has no USER: ${base} runs as root`, more);
}

function ofUser({ instruction, stage }: Placed, repository: Repository, image: Image): Evidence {
  const written = instruction.arguments;
  const args = new Map<string, string>();
  for (const { keyword, arguments: text } of [...image.dockerfile.args, ...stage.instructions]) {
    if (keyword !== "ARG" && keyword !== "ENV") continue;
    const [, name = "", value = ""] = /^(\w+)[= ]"?([^"\s]*)"?/.exec(text) ?? [];
    if (name !== "" && value !== "") args.set(name, value);
  }
  const user = settled(interpolate(written), args);
  if (user === null) return unknown(stage.path, instruction.line, `USER ${written} is an argument`);
  if (!ROOT.test(user)) return strength(stage.path, instruction.line, `USER ${user}`);
  const start = startOf(repository, { stage: image.stage });
  const stepping = start?.commands.find(({ command: { wrappers, program } }) =>
    [...wrappers, program].some((one) => /^(gosu|su-exec|setpriv|runuser)$/.test(one))
  );
  if (stepping) {
    return strength(stepping.file, stepping.command.line, "it steps down when it starts");
  }
  return gap(stage.path, instruction.line, `the last USER is ${user}`, { isProduction: true });
}
