import { gap, strength, unknown, weakness } from "../evidence.ts";
import { productionProjects } from "../models/compose.ts";
import { commandAt, isOpen, ports, type Service, textAt } from "../models/compose-service.ts";
import type { Directive } from "../models/directives.ts";
import { proxyFiles, traefikMiddlewares, traefikRouters } from "../models/proxies.ts";
import { running, unreadCompose, withoutCompose } from "../models/running.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const TOOLS =
  /(^|\/)(adminer|pgadmin4?|phpmyadmin|mongo-express|redis-commander|redisinsight|pgweb|pghero|cloudbeaver|dbgate|flower|kafka-ui|kafdrop|rabbitmq:.*management|temporalio\/ui|ui(?=:)|portainer(-ce)?|dozzle|mailhog|mailpit|prometheus|jaeger|all-in-one|rq-dashboard|arq-dashboard|bull-board|studio)(:|@|$)/i;
const NAMED =
  /^(adminer|pgadmin|phpmyadmin|flower|temporal-ui|redis-commander|mailhog|mailpit|portainer|dozzle)$/i;
const GUARDS = /basicauth|forwardauth|ipallowlist|ipwhitelist/;

/** A console of the database on the open web is one guessed password away. */
export const adminTools: Rule = {
  id: "DEP-13",
  name: "admin-tools",
  area: "deployment",
  severity: "p2",
  confidence: "medium",
  section: 5,
  title: "Consoles of databases and queues can't be reached from outside without a guard",
  remedy: "take them out of production, or put basic auth, SSO or an allow list in front",
  check(repository) {
    const evidence: Evidence[] = [];
    for (const project of productionProjects(repository)) {
      for (const service of project.services) {
        if (isTool(service)) evidence.push(...judge(repository, service));
        evidence.push(...dashboard(repository, service));
      }
    }
    evidence.push(...unreadCompose(repository));
    const some = running(repository)[0];
    if (evidence.length === 0 && some) {
      return { status: "not-applicable", summary: "compose runs no such tool", evidence: [] };
    }
    return conclude(evidence, withoutCompose(repository, { asks: false }));
  },
};

/** Whether a service is a console for people, not a part of the application. */
export function isTool(service: Service): boolean {
  const image = textAt(service, "image") ?? "";
  return TOOLS.test(image) || NAMED.test(service.name);
}

function judge(repository: Repository, service: Service): Evidence[] {
  const more = { isProduction: true };
  const { name } = service;
  const evidence: Evidence[] = [];
  for (const port of ports(service)) {
    const open = isOpen(port);
    if (open === null) {
      evidence.push(unknown(port.file, port.line, `the address of ${name} is given from outside`));
    } else if (open) {
      evidence.push(gap(port.file, port.line, `${name} is published as ${port.written}`, more));
    }
  }
  for (const router of traefikRouters(repository)) {
    if (router.service !== service || !router.rule) continue;
    // A router that sends everybody on to https shows nothing itself.
    if (
      router.middlewares.length > 0 &&
      router.middlewares.every((one) => /redirect|https/i.test(one))
    ) continue;
    const { file, line } = router.at;
    const guard = guardOf(repository, router.middlewares);
    if (guard === "yes") evidence.push(strength(file, line, `${name} is routed behind a guard`));
    else if (guard === "maybe") {
      evidence.push(unknown(file, line, `the middlewares of ${name} are not defined here`));
    } else evidence.push(gap(file, line, `${name} is routed to the web without a guard`, more));
  }
  for (const { file, directives } of proxyFiles(repository)) {
    for (const { up, around } of upstreams(directives, [])) {
      if (!up.args.some((arg) => host(arg) === name)) continue;
      const isGuarded = around.some((one) => guards(one));
      evidence.push(
        isGuarded
          ? strength(file.path, up.line, `${name} is routed behind a guard`)
          : gap(file.path, up.line, `${name} is routed to the web without a guard`, more),
      );
    }
  }
  if (evidence.length === 0) {
    evidence.push(strength(service.file, service.line, `${name} is neither published nor routed`));
  }
  return evidence;
}

function guardOf(repository: Repository, names: readonly string[]): "yes" | "no" | "maybe" {
  const known = traefikMiddlewares(repository);
  let isHidden = false;
  for (const name of names) {
    const own = known.filter((one) => one.name === name);
    if (
      own.some(({ kind }) => GUARDS.test(kind)) ||
      /auth|sso|allow|whitelist|vpn|internal/i.test(name)
    ) {
      return "yes";
    }
    const chain = own.find(({ kind }) => kind === "chain");
    if (chain && /auth/i.test(chain.value ?? "")) return "yes";
    if (own.length === 0 && !/redirect|https|compress|headers|strip|cors/i.test(name)) {
      isHidden = true;
    }
  }
  return isHidden ? "maybe" : "no";
}

/** What a proxy leads to, and every directive beside or around it. */
function upstreams(
  directives: readonly Directive[],
  around: readonly Directive[],
): { up: Directive; around: readonly Directive[] }[] {
  return directives.flatMap((one) => {
    const beside = [...around, ...directives];
    if (["reverse_proxy", "proxy_pass"].includes(one.name)) return [{ up: one, around: beside }];
    return upstreams(one.block, beside);
  });
}

function guards({ name, args }: Directive): boolean {
  if (
    ["basic_auth", "basicauth", "forward_auth", "auth_request", "authorize", "authenticate"]
      .includes(name)
  ) {
    return true;
  }
  if (name === "auth_basic") return args[0] !== "off";
  if (name === "deny") return args[0] === "all";
  return /^@/.test(name) && args[0] === "remote_ip" || name === "remote_ip" || name === "client_ip";
}

const host = (upstream: string) => upstream.replace(/^https?:\/\//, "").split(/[:/]/)[0] ?? "";

/** Traefik's own dashboard: insecure, or routed without a guard. */
function dashboard(repository: Repository, service: Service): Evidence[] {
  const command = commandAt(service, "command");
  const insecure = command?.words.find((word) => /^--api\.insecure(=true)?$/i.test(word));
  if (command && insecure) {
    const shown = ports(service).some((port) => port.target === "8080" && isOpen(port) !== false);
    const message = `${service.name} shows its dashboard without a guard: ${insecure}`;
    const make = shown ? gap : weakness;
    return [make(command.file, command.line, message, { isProduction: true })];
  }
  return traefikRouters(repository).filter((router) => router.service === service).flatMap(
    (router) => {
      const target = /traefik/i.test(textAt(service, "image") ?? "") &&
        /dashboard|api/i.test(router.name);
      if (!target || !router.rule || isTool(service)) return [];
      const guard = guardOf(repository, router.middlewares);
      const { file, line } = router.at;
      if (guard === "yes") return [strength(file, line, "traefik's dashboard is behind a guard")];
      if (guard === "maybe") return [unknown(file, line, "its middlewares are not defined here")];
      return [
        gap(file, line, "traefik's dashboard is routed without a guard", { isProduction: true }),
      ];
    },
  );
}
