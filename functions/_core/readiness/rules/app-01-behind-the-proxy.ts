import { gap, strength, unknown } from "../evidence.ts";
import { isOpen, labels, ports, textAt } from "../models/compose-service.ts";
import { walk } from "../models/directives.ts";
import { proxyFiles, proxyServices, traefikRouters } from "../models/proxies.ts";
import { type Running, running, unreadCompose, withoutCompose } from "../models/running.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** What the proxy checks, whoever reaches the port behind it doesn't meet. */
export const behindTheProxy: Rule = {
  id: "APP-01",
  name: "behind-the-proxy",
  area: "security",
  severity: "p0",
  confidence: "high",
  section: 2,
  title: "What the proxy leads to can't be reached around it",
  remedy: "take `ports` away from what stands behind the proxy, or bind to 127.0.0.1",
  check(repository) {
    const evidence: Evidence[] = [];
    const all = running(repository);
    const relied = reliance(repository);
    for (const project of new Set(all.map((one) => one.project))) {
      const own = all.filter((one) => one.project === project);
      const proxied = behind(repository, own);
      for (const { service } of own.filter((one) => proxied.has(one.service.name))) {
        const { name, file, line } = service;
        const published = ports(service);
        if (textAt(service, "network_mode") === "host") {
          evidence.push(
            gap(file, line, `${name} is on the host's network, around the proxy`, weight(relied)),
          );
        }
        if (published.length === 0) {
          evidence.push(strength(file, line, `${name} is reached through the proxy alone`));
        }
        for (const port of published) {
          const open = isOpen(port);
          if (open === null) {
            evidence.push(
              unknown(port.file, port.line, `the address of ${port.written} is given from outside`),
            );
          } else if (open) {
            const why = relied ? `, and ${relied.file}:${relied.line} ${relied.what}` : "";
            const message = `${name} is published as ${port.written}, around the proxy${why}`;
            evidence.push(gap(port.file, port.line, message, weight(relied)));
          } else {evidence.push(
              strength(port.file, port.line, `${name} listens on this host alone`),
            );}
        }
      }
    }
    evidence.push(...unreadCompose(repository));
    return conclude(
      evidence,
      withoutCompose(repository, {
        asks: false,
        nothing: "no proxy stands in front of a service here",
      }),
    );
  },
};

type Reliance = { file: string; line: number; what: string } | null;

/** It stops everything where something trusts what only the proxy may say. */
function weight(relied: Reliance): Pick<Evidence, "severity" | "isProduction"> {
  return { severity: relied ? "p0" : "p1", isProduction: true };
}

/** The services that a proxy of the project leads to. */
function behind(repository: Repository, own: readonly Running[]): Set<string> {
  const found = new Set<string>();
  const [first] = own;
  if (!first) return found;
  const known = new Set(
    own.filter(({ kind }) => kind === "application").map(({ service }) => service.name),
  );
  const proxies = proxyServices(first.project);
  for (const { service, project } of traefikRouters(repository)) {
    if (project === first.project && known.has(service.name)) found.add(service.name);
  }
  for (const { service } of own) {
    const isRouted = labels(service).some(({ name, value }) =>
      name === "traefik.enable" && value === "true"
    );
    // The proxy itself is routed too, to its dashboard.
    if (isRouted && known.has(service.name)) found.add(service.name);
  }
  if (proxies.length === 0) return found;
  for (const { directives } of proxyFiles(repository)) {
    for (const { name, args } of walk(directives)) {
      if (
        !/^(reverse_proxy|proxy_pass|server|php_fastcgi|grpc_pass|uwsgi_pass|fastcgi_pass|to)$/
          .test(name)
      ) continue;
      for (const arg of args) {
        const host = arg.replace(/^[a-z]+:\/\//, "").split(/[:/]/)[0] ?? "";
        if (known.has(host)) found.add(host);
      }
    }
  }
  // A proxy whose routes aren't here still stands in front of what is called an API.
  if (found.size === 0) {
    for (const name of known) {
      if (/^(api|backend|server|app|web)([-_]|$)/i.test(name)) found.add(name);
    }
  }
  return found;
}

const GUARDS = /^(forward_auth|basic_auth|basicauth|auth_request|auth_basic|authorize)$/;
const TRUST =
  /forwarded[-_]allow[-_]ips|ProxyHeadersMiddleware|--proxy-headers|["'](x-forwarded-for|x-real-ip|remote-user|x-forwarded-user|x-auth-request-\w+|cf-connecting-ip)["']|trust proxy|trustProxy/i;

/** Where something trusts the proxy: it checks who comes, or the application believes its headers. */
function reliance(repository: Repository): Reliance {
  for (const { file, directives } of proxyFiles(repository)) {
    const guard = walk(directives).find(({ name }) => GUARDS.test(name));
    if (guard) return { file: file.path, line: guard.line, what: "checks who comes" };
  }
  for (
    const { path, text, context } of repository.matching(
      /\.(py|[cm]?[jt]s|sh)$|(^|\/)Dockerfile[^/]*$|compose[^/]*\.ya?ml$/,
    )
  ) {
    if (text === null || context === "test" || context === "docs" || !TRUST.test(text)) continue;
    const line = text.split("\n").findIndex((one) =>
      TRUST.test(one) && !/^\s*(#|\/\/|\*)/.test(one)
    );
    if (line >= 0) return { file: path, line: line + 1, what: "believes its headers" };
  }
  return null;
}
