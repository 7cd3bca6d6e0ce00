import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, type CodeFile, type Expr, type Fn, type Site, withCode } from "../models/code.ts";
import { holds } from "../models/conditions.ts";
import { last, literal, type Names, names, option, walk } from "../models/names.ts";
import { processLines } from "../models/proxy-lines.ts";
import { routes } from "../models/routes.ts";
import { edge, place, unreadSources } from "../models/servers.ts";
import type { Repository } from "../repository.ts";

const ADDRESS =
  /^(http_)?(x[-_](forwarded[-_]for|real[-_]ip|client[-_]ip|cluster[-_]client[-_]ip)|cf[-_]connecting[-_]ip(v6)?|true[-_]client[-_]ip|fastly[-_]client[-_]ip|fly[-_]client[-_]ip)$/i;
const IDENTITY =
  /^(http_)?(remote[-_]user|x[-_](remote|forwarded|authenticated|auth[-_]request)[-_](user|email)|x[-_]authenticated[-_]userid)$/i;
const WRITES = /(^|\.)(set|setHeader|append|delete|removeHeader|header|add_header|setdefault|pop)$/;
const TRUST =
  /trust(ed)?_?(prox|host|ip|peer|network|hop|gateway|forward|source|origin|client)|is_?trusted|proxy_?(secret|token|key)|(origin|edge|gateway|internal)_?(secret|token|key)|allowed_?prox|known_?prox|behind_?(a_?)?(prox|cloudflare|cf)|cloudflare_?(ips|ranges|networks)|from_?(trusted_?)?proxy|compare_digest|timingSafeEqual|use_?x_?forwarded|forwarded_?allow|ip_?network|ip_?address\b/i;
const DECIDES =
  /limit|throttl|brute|attempt|lock_?out|locked|allow_?(list|ed)|^allow|deny|block|ban(ned)?\b|white_?list|black_?list|restrict|abuse|fraud|captcha|quota|guard/i;

const MOST = 60;

type Read = {
  file: CodeFile;
  line: number;
  fn: Fn | null;
  site: Site | null;
  header: string;
  isIdentity: boolean;
};

/** A header that any client may write names whoever that client wants to be. */
export const clientAddress: Rule = {
  id: "APP-02",
  name: "client-address",
  area: "security",
  severity: "p0",
  confidence: "medium",
  section: 2,
  title: "A client's address or name is taken from a header only where a trusted proxy wrote it",
  remedy:
    "let the server resolve the address (uvicorn's trusted list, Express's trust proxy with a number or addresses), or check the peer before the header is read",
  check: withCode((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    const guard = proxyGuard(repository);
    for (const read of reads(repository).slice(0, MOST)) {
      evidence.push(judge(repository, all, read, guard));
    }
    evidence.push(...settings(repository, all));
    evidence.push(...strong(repository, all));
    if (evidence.length > 0 && evidence.every(({ kind }) => kind === "strength")) {
      evidence.push(...unreadSources(repository));
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "nothing asks for a client's address",
    });
  }),
};

function judge(repository: Repository, all: Names, read: Read, guard: Guarded | null): Evidence {
  const who = read.fn?.name ? `${read.fn.name}()` : "it";
  const isOff = read.site?.when.some((one) => holds(all, read.file, one) === false) ?? false;
  if (isOff) {
    return place(
      "strength",
      read,
      `${who} reads ${read.header} only where a switch that is off by default is set`,
    );
  }
  const own = ownGuard(all, read);
  if (own === "on") {
    return place("strength", read, `${who} reads ${read.header} after it has checked who sent it`);
  }
  if (own === null && guard?.isOn) {
    return place(
      "strength",
      read,
      `${who} reads ${read.header}; ${guard.what} checks the proxy's secret before`,
    );
  }
  const isEdge = /wrangler/.test(edge(repository) ?? "") && /^cf/i.test(read.header);
  if (isEdge) {
    return place(
      "strength",
      read,
      `${who} reads ${read.header}, which the Workers platform writes`,
    );
  }
  const optional = own === "off" || guard !== null
    ? "; the check of its sender is off by default"
    : "";
  const uses = usesOf(repository, read);
  const message = `${who} takes ${read.header} as it comes${optional}`;
  if (read.isIdentity) return place("gap", read, `${message}: whoever sends it is that user`, "p0");
  const isManaged = /vercel|netlify|open-next/.test(edge(repository) ?? "") &&
    /forwarded|real/i.test(read.header);
  if (isManaged) {
    return place(
      "weakness",
      read,
      `${message}; only the hosting platform's own front keeps clients from writing it`,
      "p2",
    );
  }
  return uses
    ? place("gap", read, `${message}, and ${uses} decides by it`, "p0")
    : place("weakness", read, `${message}: any client may write another address`, "p2");
}

/** Everything that asks for such a header of a request that came in. */
function reads(repository: Repository): Read[] {
  return code(repository).flatMap((file) => {
    const found: Read[] = [];
    const add = (header: string, line: number, site: Site | null, fn: Fn | null) => {
      const isIdentity = IDENTITY.test(header);
      if (!isIdentity && !ADDRESS.test(header)) return;
      const isKnown = found.some((one) => one.fn === fn && (fn !== null || one.line === line));
      if (!isKnown) found.push({ file, line, fn, site, header, isIdentity });
    };
    if (file.directives.includes("use client")) return found;
    for (const statement of file.statements) {
      const isList = statement.fn === null && statement.klass === null;
      for (const { expr, isRead } of headerTexts(statement.value, isList)) {
        if (isRead) add(expr.text, expr.line, statement, statement.fn);
      }
    }
    for (const fn of file.functions) {
      for (const param of fn.params) {
        const values = [param.default, param.annotation].flatMap((one) =>
          one ? [...walk(one)] : []
        );
        const isHeader = values.some((one) =>
          one.kind === "call" && /(^|\.)(Header|Headers)$/.test(one.call.callee)
        );
        if (!isHeader) continue;
        const alias = values.flatMap((one) => literal(one) ?? []).find((one) =>
          ADDRESS.test(one) || IDENTITY.test(one)
        );
        add(alias ?? param.name, param.line, null, fn);
      }
    }
    return found;
  });
}

/** Header names in an expression, and whether they are read there: not set, deleted, or listed for a policy. */
function headerTexts(
  root: Expr,
  isTop: boolean,
): { expr: { text: string; line: number }; isRead: boolean }[] {
  const found: { expr: { text: string; line: number }; isRead: boolean }[] = [];
  const stack: { expr: Expr; isRead: boolean }[] = [{ expr: root, isRead: !isTop }];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { expr, isRead } = next;
    switch (expr.kind) {
      case "text":
        found.push({ expr: { text: expr.value, line: expr.line }, isRead: isRead && !isTop });
        break;
      case "name": {
        const key = last(expr.name);
        if (/headers?\.|META\.|environ\./.test(expr.name)) {
          found.push({ expr: { text: key, line: expr.line }, isRead: true });
        }
        break;
      }
      case "index":
        stack.push({ expr: expr.of, isRead });
        stack.push({ expr: expr.key, isRead: true });
        if (isTop && expr.key.kind === "text") {
          found.push({ expr: { text: expr.key.value, line: expr.line }, isRead: true });
        }
        break;
      case "call": {
        const { callee, args, named, receiver } = expr.call;
        const isGetter = /(^|\.)(get|header|getHeader|getlist|get_all|raw)$/.test(callee) &&
          args.length <= 2 && !(/\.header$/.test(callee) && args.length === 2);
        const isWrite = WRITES.test(callee) && !isGetter;
        const first = literal(args[0]);
        if (isGetter && first !== null && isTop) {
          found.push({ expr: { text: first, line: expr.line }, isRead: true });
        }
        for (const one of args) stack.push({ expr: one, isRead: isRead && !isWrite });
        for (const one of named) {
          const isPolicy = /allow|expose|headers$/.test(one.name);
          stack.push({ expr: one.value, isRead: isRead && !isPolicy });
        }
        if (receiver) stack.push({ expr: receiver, isRead });
        break;
      }
      case "map":
        // Keys are what is sent; values under a policy's names are lists of what may be sent.
        for (const { key, value } of expr.entries) {
          const isPolicy = /allow|expose|headers$/i.test(key ?? "");
          stack.push({ expr: value, isRead: isRead && !isPolicy });
        }
        break;
      case "join":
      case "other":
        for (const one of expr.parts) stack.push({ expr: one, isRead });
        break;
      case "list":
        for (const one of expr.items) stack.push({ expr: one, isRead });
        break;
      case "choice":
        if (expr.test) stack.push({ expr: expr.test, isRead });
        for (const one of expr.options) {
          // What stands behind the connection's own address is asked only where there is none.
          if (expr.test === null && one.kind === "name" && isPeer(one.name)) break;
          stack.push({ expr: one, isRead });
        }
        break;
    }
  }
  return found;
}

/** A check of the sender in the function itself, on every path or behind a switch; null where there is none. */
function ownGuard(all: Names, read: Read): "on" | "off" | null {
  if (!read.fn) return null;
  const asked = read.site?.when.flatMap((one) => wordsOf(one)) ?? [];
  if (asked.some((one) => TRUST.test(one) || isPeer(one))) return "on";
  const isFallback = all.body(read.fn).some((one) => {
    const [test] = one.when;
    return one.kind === "return" && one.line < read.line && one.when.length === 1 && test &&
      wordsOf(one.value).some(isPeer) && wordsOf(test).every(isPeer);
  });
  if (isFallback) return "on";
  let found: "on" | "off" | null = null;
  for (const statement of all.body(read.fn)) {
    if (statement.line > read.line && statement.kind !== "test") continue;
    const spoken = wordsOf(statement.value);
    const isTest = statement.kind === "test" ||
      [...walk(statement.value)].some((one) => one.kind === "choice" && one.test !== null) ||
      spoken.some((one) => /compare_digest|timingSafeEqual/.test(one));
    const speaks = spoken.some((one) => TRUST.test(one)) ||
      (isTest && spoken.some(isPeer) && spoken.length > 1 && statement.kind === "test" &&
        isMembership(statement.value));
    if (!speaks || !isTest) continue;
    const isOff = [...statement.when, ...(statement.kind === "test" ? [statement.value] : [])]
      .some((one) =>
        holds(all, read.file, one) === false && wordsOf(one).some((word) => TRUST.test(word))
      );
    if (!isOff) return "on";
    found = "off";
  }
  return found;
}

function isPeer(word: string): boolean {
  return /client\.host|remoteAddress|REMOTE_ADDR|remote_addr|peername|^(req|request|ctx)\.(ip|client)$/
    .test(word);
}

function isMembership(expr: Expr): boolean {
  return [...walk(expr)].some((one) =>
    (one.kind === "other" && /^(not )?in$/.test(one.operator)) ||
    (one.kind === "call" && /\.(includes|has|some|contains|match)$/.test(one.call.callee))
  );
}

function wordsOf(expr: Expr): string[] {
  return [...walk(expr)].flatMap((one) =>
    one.kind === "name"
      ? [one.name]
      : one.kind === "call"
      ? [one.call.callee]
      : one.kind === "text" && one.value.length < 60
      ? [one.value]
      : []
  );
}

type Guarded = { isOn: boolean; what: string };

/** A middleware that lets only the proxy in: it compares a secret of a header before every route. */
function proxyGuard(repository: Repository): Guarded | null {
  const all = names(repository);
  const found: Guarded[] = [];
  for (const mount of routes(repository).mounts) {
    for (const one of walk(mount.value)) {
      const name = one.kind === "name" ? one.name : one.kind === "call" ? one.call.callee : "";
      const target = one.kind === "function"
        ? { kind: "function" as const, file: mount.file, fn: one.fn }
        : name === ""
        ? null
        : all.define(mount.file, name);
      const inside = target?.kind === "function"
        ? all.reach({ file: target.file, fn: target.fn }, 1)
        : target?.kind === "class"
        ? target.file.functions.filter(({ klass }) => klass === target.klass).map((fn) => ({
          file: target.file,
          fn,
        }))
        : [];
      for (const { file, fn } of inside) {
        const call = fn.calls.find(({ callee }) => /compare_digest|timingSafeEqual/.test(callee));
        const speaks = all.body(fn).some((statement) =>
          wordsOf(statement.value).some((word) =>
            /proxy|origin|edge|gateway|cloudflare|internal|caddy|nginx/i.test(word)
          )
        );
        if (!call || !speaks) continue;
        const switches = [...mount.when, ...call.site.when, ...earlyExits(all, fn)];
        const isOff = switches.some((test) => holds(all, file, test) === false);
        found.push({ isOn: !isOff, what: fn.klass?.name ?? fn.name });
      }
    }
  }
  return found.find(({ isOn }) => isOn) ?? found[0] ?? null;
}

/** `if not settings.SECRET: return …`: what must hold for the rest to run. */
function earlyExits(all: Names, fn: Fn): Expr[] {
  return all.body(fn).flatMap((one) => {
    const test = one.when.at(-1);
    const isExit = one.kind === "return" && one.when.length === 1 && test;
    return isExit
      ? [{ kind: "other", operator: "not", parts: [test], line: test.line } as const]
      : [];
  });
}

/** What decides by an address: the function itself, or whatever names it. */
function usesOf(repository: Repository, read: Read): string | null {
  const all = names(repository);
  if (!read.fn) return DECIDES.test(read.file.path) ? read.file.path : null;
  const seen = new Set<string>();
  let edgeNames = [{ name: read.fn.name, klass: read.fn.klass?.name ?? "", path: read.file.path }];
  for (let step = 0; step < 4 && edgeNames.length > 0; step++) {
    const next: typeof edgeNames = [];
    for (const one of edgeNames) {
      if (DECIDES.test(one.name)) return `${one.name}()`;
      if (DECIDES.test(one.klass)) return one.klass;
      if (step === 0 && DECIDES.test(last(one.path.replace(/\.\w+$/, "").replaceAll("/", ".")))) {
        return one.path;
      }
      if (one.name === "" || seen.has(one.name)) continue;
      seen.add(one.name);
      for (const file of code(repository)) {
        for (const call of file.calls) {
          const isCalled = last(call.callee) === one.name;
          const isGiven = [...call.args, ...call.named.map(({ value }) => value)].some((arg) =>
            arg.kind === "name" && last(arg.name) === one.name
          );
          if (!isCalled && !isGiven) continue;
          if (isGiven && DECIDES.test(call.callee)) return call.callee;
          if (call.site.fn) {
            next.push({
              name: call.site.fn.name,
              klass: call.site.klass?.name ?? "",
              path: file.path,
            });
            const given = call.site.fn.calls.find((other) =>
              other !== call && DECIDES.test(last(other.callee))
            );
            if (isCalled && given) return given.callee;
          }
        }
      }
    }
    edgeNames = next.slice(0, 20);
  }
  const within = all.body(read.fn).flatMap((one) => [one.target ?? "", ...wordsOf(one.value)])
    .find((word) => DECIDES.test(last(word)) && !/\s/.test(word));
  return within ?? null;
}

/** What a framework is told to believe. */
function settings(repository: Repository, all: Names): Evidence[] {
  const found: Evidence[] = [];
  for (const file of code(repository)) {
    for (const call of file.calls) {
      const at = { file, line: call.line };
      const name = last(call.callee);
      const isSet = /(^|\.)(set|enable)$/.test(call.callee) &&
        literal(call.args[0]) === "trust proxy";
      const value = isSet
        ? (name === "enable"
          ? { kind: "flag", value: true, line: call.line } as const
          : call.args[1])
        : option(call, "trustProxy");
      if (value && (isSet || /^fastify/.test(all.calls(file, call.callee)))) {
        if (value.kind === "flag" && value.value) {
          found.push(
            place(
              "gap",
              at,
              "every proxy is trusted: the address is whatever the client writes first",
              "p1",
            ),
          );
        } else if (value.kind === "flag") {
          found.push(place("strength", at, "no proxy is trusted"));
        } else {found.push(
            place("strength", at, "the proxies that are trusted are counted or named"),
          );}
      }
      if (
        /(^|\.)ProxyHeadersMiddleware$/.test(call.callee) ||
        call.args.some((one) =>
          one.kind === "name" && /(^|\.)ProxyHeadersMiddleware$/.test(one.name)
        )
      ) {
        const hosts = option(call, "trusted_hosts");
        const isAll = hosts !== null && [...walk(hosts)].some((one) => literal(one) === "*");
        found.push(
          isAll
            ? place("gap", at, "ProxyHeadersMiddleware trusts every peer", "p1")
            : place("strength", at, "ProxyHeadersMiddleware trusts the peers it is given"),
        );
      }
      if (/(^|\.)ProxyFix$/.test(call.callee)) {
        found.push(place("strength", at, "ProxyFix counts the proxies"));
      }
      if (/(^|\.)uvicorn\.run$/.test(call.callee)) {
        const hosts = option(call, "forwarded_allow_ips");
        if (literal(hosts) === "*") {
          found.push(place("gap", at, "uvicorn trusts forwarded headers of every peer", "p1"));
        }
      }
      for (const arg of [...call.args, ...call.named.map(({ value: one }) => one)]) {
        if (arg.kind === "name" && /slowapi\.util\.get_ipaddr$/.test(all.origin(file, arg.name))) {
          found.push(
            place(
              "gap",
              at,
              "get_ipaddr takes X-Forwarded-For as it comes, and the limiter counts by it",
              "p0",
            ),
          );
        }
      }
    }
  }
  for (
    const line of processLines(repository, /forwarded[-_]allow[-_]ips["']?\s*[,:= ]\s*["']?\*/i)
  ) {
    found.push(place("gap", line, "uvicorn trusts forwarded headers of every peer", "p1"));
  }
  return found;
}

/** Code that takes the address from the connection. */
function strong(repository: Repository, all: Names): Evidence[] {
  for (const file of code(repository)) {
    for (const statement of file.statements) {
      for (const one of walk(statement.value)) {
        const name = one.kind === "name" ? one.name : "";
        const isPeerName =
          /(^|\.)(request\.client\.host|req\.ip|request\.ip|socket\.remoteAddress|request\.remote_addr)$/
            .test(name) ||
          /slowapi\.util\.get_remote_address$/.test(name === "" ? "" : all.origin(file, name));
        if (isPeerName) {
          return [
            place("strength", { file, line: one.line }, `${last(name)} comes from the connection`),
          ];
        }
      }
    }
  }
  return [];
}
