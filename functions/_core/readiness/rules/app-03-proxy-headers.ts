import { gap, strength, unknown, weakness } from "../evidence.ts";
import { commandAt } from "../models/compose-service.ts";
import { type Directive, walk } from "../models/directives.ts";
import { type ProxyFile, proxyFiles, proxyServices, unreadProxies } from "../models/proxies.ts";
import { running } from "../models/running.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const ANYONE = /^(0\.0\.0\.0\/0|::\/0)$/;

/** A header that the client may write is no address. */
export const proxyHeaders: Rule = {
  id: "APP-03",
  name: "proxy-headers",
  area: "security",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "The proxy overwrites the headers that say who asks",
  remedy:
    "set X-Forwarded-For and X-Real-IP to the address of the connection, and trust only known proxies",
  check(repository) {
    const evidence: Evidence[] = [];
    for (const one of proxyFiles(repository)) {
      if (["test", "docs", "dev"].includes(one.file.context)) continue;
      evidence.push(...one.kind === "caddy" ? ofCaddy(one) : ofNginx(one));
    }
    evidence.push(...ofTraefik(repository));
    for (const { file, reason } of unreadProxies(repository)) {
      evidence.push(unknown(file, null, `it can't be read: ${reason}`));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no proxy is configured here" });
  },
};

function ofCaddy({ file, directives }: ProxyFile): Evidence[] {
  const all = walk(directives);
  const [proxy] = all.filter(({ name }) => name === "reverse_proxy");
  if (!proxy) return [];
  const evidence: Evidence[] = [];
  for (const { name, args, line } of all) {
    if (name === "trusted_proxies" && args.some((one) => ANYONE.test(one))) {
      evidence.push(gap(file.path, line, "every client is a trusted proxy"));
    }
    const [header = "", to = ""] = args;
    if (name === "header_up" && /^\+?(x-forwarded-for|x-real-ip)$/i.test(header)) {
      const own = /^\{(http\.request\.)?header\.x-(forwarded-for|real-ip)\}$/i.test(to);
      evidence.push(
        own
          ? gap(file.path, line, `${header} is what the client sent`)
          : strength(file.path, line, `${header} is set to ${to}`),
      );
    }
  }
  if (evidence.length === 0) {
    evidence.push(strength(file.path, proxy.line, "Caddy replaces what untrusted clients forward"));
  }
  return evidence;
}

function ofNginx({ file, directives }: ProxyFile): Evidence[] {
  const evidence: Evidence[] = [];
  const trust = walk(directives).find(({ name, args }) =>
    name === "set_real_ip_from" && args.some((one) => ANYONE.test(one))
  );
  if (trust) evidence.push(gap(file.path, trust.line, "every client may say its own address"));
  for (const { pass, headers } of passes(directives, [])) {
    const forwarded = headers.find(({ args }) => /^x-forwarded-for$/i.test(args[0] ?? ""));
    if (!forwarded) {
      const message = "X-Forwarded-For is not set: what the client sent goes on as it is";
      evidence.push(gap(file.path, pass.line, message));
      continue;
    }
    const to = forwarded.args[1] ?? "";
    if (/\$remote_addr|\$realip_remote_addr|^$/.test(to)) {
      evidence.push(
        strength(file.path, forwarded.line, `X-Forwarded-For is set to ${to || "nothing"}`),
      );
    } else if (to === "$proxy_add_x_forwarded_for") {
      const message =
        "X-Forwarded-For keeps what the client sent in front: only its last address is true";
      evidence.push(weakness(file.path, forwarded.line, message, { severity: "p2" }));
    } else if (to === "$http_x_forwarded_for") {
      evidence.push(gap(file.path, forwarded.line, "X-Forwarded-For is what the client sent"));
    } else evidence.push(unknown(file.path, forwarded.line, `X-Forwarded-For is ${to}`));
  }
  const seen = new Set<string>();
  return evidence.filter(({ line, message }) => {
    const key = `${line} ${message}`;
    return seen.has(key) ? false : seen.add(key);
  });
}

/** Each proxy_pass and the headers that hold there: a level's own replace those above it, as nginx has it. */
function passes(
  directives: readonly Directive[],
  inherited: readonly Directive[],
): { pass: Directive; headers: readonly Directive[] }[] {
  const own = directives.filter(({ name }) => name === "proxy_set_header");
  const headers = own.length > 0 ? own : inherited;
  // A file that is included sets headers that can't be seen from here.
  const hides = directives.some(({ name, args }) =>
    name === "include" && /proxy/i.test(args[0] ?? "")
  );
  return directives.flatMap((one) => {
    if (one.name === "proxy_pass") return hides ? [] : [{ pass: one, headers }];
    if (["if", "limit_except"].includes(one.name)) return passes(one.block, headers);
    return passes(one.block, headers);
  });
}

function ofTraefik(repository: Repository): Evidence[] {
  const projects = new Set(running(repository).map(({ project }) => project));
  return [...projects].flatMap((project) =>
    proxyServices(project).filter(({ kind }) => kind === "traefik").flatMap(
      ({ service }): Evidence[] => {
        const command = commandAt(service, "command");
        const insecure = command?.words.find((word) =>
          /forwardedheaders\.insecure(=true)?$/i.test(word)
        );
        if (command && insecure) {
          return [gap(command.file, command.line, `traefik believes every client: ${insecure}`)];
        }
        const anyone = command?.words.find((word) =>
          /forwardedheaders\.trustedips=.*(0\.0\.0\.0\/0|::\/0)/i.test(word)
        );
        if (command && anyone) {
          return [gap(command.file, command.line, `traefik believes every client: ${anyone}`)];
        }
        return [
          strength(service.file, service.line, "traefik replaces what untrusted clients forward"),
        ];
      },
    )
  );
}
