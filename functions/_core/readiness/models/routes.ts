import type { Repository } from "../repository.ts";
import type { Call, CodeFile, Expr, Fn, Statement } from "./code.ts";
import { last, literal, type Names, names, option, walk } from "./names.ts";

/** Something that is asked before a handler: a decorator, a dependency, a middleware, an option. */
export type Guard = { file: CodeFile; value: Expr; line: number };

/** A route that a request can reach. */
export type Route = {
  /** In capitals; `ANY` where it takes each. */
  methods: string[];
  /** With the prefixes of the routers it stands in, as far as they can be told. */
  path: string;
  file: CodeFile;
  line: number;
  handler: Fn | null;
  handlerFile: CodeFile;
  guards: Guard[];
  /** `action` is a server action or a procedure: it has a name and no path of its own. */
  kind: "http" | "action" | "generated";
  /** Whether the path is known from its beginning: a router that was seen to be put nowhere may stand anywhere. */
  isWhole: boolean;
};

/** A middleware, hook, plugin or guard that is put before many routes. */
export type Mount = Guard & {
  /** Where it begins; empty for everything. */
  path: string;
  /** The conditions it stands below. */
  when: Expr[];
};

/** The routes of a repository and what is wired before them. */
export type Routes = { routes: Route[]; mounts: Mount[] };

const METHODS = new Set(["get", "post", "put", "patch", "delete", "head", "options"]);
const VERBS = /\.(get|post|put|patch|delete|all|api_route|route|websocket)$/;
const MOST_LEVELS = 8;

/**
 * The routes of FastAPI, Flask, Django, Starlette, Express, Fastify, Hono, Koa, Nest and Next, with what is wired.
 *
 * @example
 * routes(repository).routes.filter(({ methods }) => methods.includes("POST"));
 */
export function routes(repository: Repository): Routes {
  return repository.once("routes", () => new RouteReader(names(repository)).read());
}

type Raw = Omit<Route, "isWhole"> & { owner: string };
type Parent = { owner: string; prefix: string; guards: Guard[] };

class RouteReader {
  readonly #names: Names;
  readonly #routes: Raw[] = [];
  readonly #mounts: Mount[] = [];
  /** Routers and what they are put into. */
  readonly #parents = new Map<string, Parent[]>();
  /** What a router itself brings: `APIRouter(prefix=, dependencies=)`. */
  readonly #own = new Map<string, { prefix: string; guards: Guard[] }>();

  /** Routers that must be put into something to be reached. */
  readonly #sub = new Set<string>();

  constructor(names: Names) {
    this.#names = names;
  }

  read(): Routes {
    for (const file of this.#names.files) {
      this.#routers(file);
      if (file.language === "python") this.#python(file);
      else this.#script(file);
    }
    const whole = this.#routes.map(({ owner, ...route }): Route => {
      const { prefix, guards } = this.#above(owner, 0);
      const isWhole = !this.#sub.has(owner) || this.#parents.has(owner);
      const path = joined(prefix, route.path);
      return { ...route, path, guards: [...route.guards, ...guards], isWhole };
    });
    return { routes: whole, mounts: this.#mounts };
  }

  #above(owner: string, level: number): { prefix: string; guards: Guard[] } {
    const own = this.#own.get(owner) ?? { prefix: "", guards: [] };
    const [parent] = this.#parents.get(owner) ?? [];
    if (!parent || level > MOST_LEVELS) return own;
    const above = this.#above(parent.owner, level + 1);
    return {
      prefix: joined(joined(above.prefix, parent.prefix), own.prefix),
      guards: [...own.guards, ...parent.guards, ...above.guards],
    };
  }

  /** The router behind a name, as `file#variable`. */
  #key(file: CodeFile, name: string, fn: Fn | null = null): string {
    const head = name.split(".")[0] ?? "";
    for (let at = fn; at; at = at.parent) {
      if (at.params.some((param) => param.name.split(",").includes(head))) {
        return `${file.path}#${at.name}`;
      }
    }
    const found = this.#names.define(file, name);
    if (found?.kind === "function") return `${found.file.path}#${found.fn.name}`;
    if (found?.kind === "value") return `${found.file.path}:${found.line}`;
    if (found?.kind === "module") return `${found.file.path}#`;
    return `${file.path}#${name}`;
  }

  #routers(file: CodeFile): void {
    for (const one of file.statements) {
      if (one.kind !== "assign" || one.value.kind !== "call") continue;
      const { call } = one.value;
      if (!/(Router|Blueprint|FastAPI|Starlette|Hono|Flask|basePath)$/.test(call.callee)) continue;
      const prefix = literal(option(call, "prefix") ?? option(call, "url_prefix")) ?? "";
      const guards = guardsIn(file, option(call, "dependencies"));
      if (/(Router|Blueprint)$/.test(call.callee)) this.#sub.add(`${file.path}:${one.line}`);
      this.#own.set(`${file.path}:${one.line}`, { prefix, guards });
      for (const guard of [...guardsIn(file, option(call, "middleware"))]) {
        this.#mounts.push({ ...guard, path: "", when: one.when });
      }
      if (/FastAPI$/.test(call.callee)) {
        for (const guard of guards) this.#mounts.push({ ...guard, path: "", when: one.when });
      }
    }
  }

  #put(child: string, parent: Parent): void {
    if (child === parent.owner) return;
    const known = this.#parents.get(child);
    if (known) known.push(parent);
    else this.#parents.set(child, [parent]);
  }

  // --- Python ---

  #python(file: CodeFile): void {
    for (const fn of file.functions) {
      for (const mark of fn.decorators) this.#decorated(file, fn, mark);
    }
    for (const call of file.calls) {
      const name = last(call.callee);
      const owner = call.callee.slice(0, Math.max(0, call.callee.lastIndexOf(".")));
      if (name === "include_router" || name === "register_blueprint" || name === "mount") {
        this.#include(file, call, owner);
      } else if (name === "add_api_route" || name === "add_url_rule" || name === "add_route") {
        const view = option(call, "endpoint") ?? option(call, "view_func") ?? call.args.at(-1);
        const handler = name === "add_api_route" ? call.args[1] ?? view : view;
        this.#add(file, call, { path: call.args[0], handler, owner: this.#key(file, owner) });
      } else if (name === "Route" && literal(call.args[0])?.startsWith("/")) {
        const handler = option(call, "endpoint") ?? call.args[1];
        this.#add(file, call, { path: call.args[0], handler, owner: "" });
      } else if (name === "register" && call.args[1]?.kind === "name") {
        this.#viewSet(file, call, call.args[1].name);
      } else if (/^(path|re_path|url)$/.test(call.callee) && call.args.length >= 2) {
        this.#django(file, call);
      } else if (name === "add_middleware" && call.args[0]) {
        this.#mount(file, call, { kind: "call", call, line: call.line });
      } else if (name === "init_app") {
        this.#mount(file, call, { kind: "name", name: owner, line: call.line });
      } else if (/Limiter$/.test(name) && option(call, "app")) {
        this.#mount(file, call, { kind: "call", call, line: call.line });
      }
    }
    for (const one of file.statements) {
      if (one.kind !== "assign" || one.fn !== null) continue;
      const isDjango = one.target === "MIDDLEWARE" || one.target === "REST_FRAMEWORK";
      if (isDjango) {
        this.#mounts.push({ file, value: one.value, line: one.line, path: "", when: one.when });
      }
    }
  }

  #decorated(file: CodeFile, fn: Fn, mark: Expr): void {
    const call = mark.kind === "call" ? mark.call : null;
    const callee = call?.callee ?? (mark.kind === "name" ? mark.name : "");
    const name = last(callee);
    if (name === "middleware" || /^before_(app_)?request$/.test(name)) {
      const value: Expr = { kind: "function", fn, line: fn.line };
      this.#mounts.push({ file, value, line: fn.line, path: "", when: [] });
      return;
    }
    if (!call || !VERBS.test(callee)) return;
    const path = literal(call.args[0]) ?? literal(option(call, "path")) ??
      literal(option(call, "rule"));
    if (path === null || (path !== "" && !path.startsWith("/"))) return;
    const listed = option(call, "methods");
    const methods = listed?.kind === "list"
      ? listed.items.flatMap((one) => literal(one)?.toUpperCase() ?? [])
      : METHODS.has(name)
      ? [name.toUpperCase()]
      : [name === "websocket" ? "WEBSOCKET" : "GET"];
    const owner = callee.slice(0, callee.lastIndexOf("."));
    this.#routes.push({
      methods,
      path,
      file,
      line: mark.line,
      handler: fn,
      handlerFile: file,
      guards: [
        ...fn.decorators.filter((one) => one !== mark).map((value) => guard(file, value)),
        ...guardsIn(file, option(call, "dependencies")),
        ...fn.params.flatMap((param) =>
          [param.default, param.annotation].flatMap((value) =>
            value && this.#depends(file, value) ? [guard(file, value)] : []
          )
        ),
      ],
      kind: "http",
      owner: this.#key(file, owner),
    });
  }

  /** Whether a parameter asks for something: `Depends(…)` in it, or in the alias that it names. */
  #depends(file: CodeFile, value: Expr): boolean {
    const isAsked = (one: Expr) =>
      one.kind === "call" && /(^|\.)(Depends|Security|Header|Injected)$/.test(one.call.callee);
    return [...walk(value)].some((one) => {
      if (one.kind !== "name") return isAsked(one);
      const found = this.#names.define(file, one.name);
      return found?.kind === "value" && [...walk(found.value)].some(isAsked);
    });
  }

  #include(file: CodeFile, call: Call, owner: string): void {
    const name = last(call.callee);
    const [first, second] = call.args;
    const target = name === "mount"
      ? option(call, "app") ?? second
      : option(call, "router") ?? first;
    const prefix = literal(option(call, "prefix") ?? option(call, "url_prefix")) ??
      (name === "mount" ? literal(first) : null) ?? "";
    const guards = guardsIn(file, option(call, "dependencies"));
    if (target?.kind === "name") {
      const parent = { owner: this.#key(file, owner), prefix, guards };
      this.#put(this.#key(file, target.name), parent);
    } else if (target?.kind === "call") {
      // fastapi_users.get_auth_router(…): the package's own login, in nobody's file.
      const made = /get_(auth|register|reset_password|verify)_router$/.exec(target.call.callee);
      const path = made?.[1] === "auth" ? "/login" : `/${made?.[1]?.replace("_", "-") ?? ""}`;
      if (!made) return;
      this.#routes.push({
        methods: ["POST"],
        path: joined(prefix, path),
        file,
        line: call.line,
        handler: null,
        handlerFile: file,
        guards,
        kind: "generated",
        owner: this.#key(file, owner),
      });
    }
  }

  #add(
    file: CodeFile,
    call: Call,
    { path, handler, owner }: { path: Expr | undefined; handler: Expr | undefined; owner: string },
  ): void {
    const listed = option(call, "methods");
    const found = handler?.kind === "name" ? this.#names.define(file, handler.name) : null;
    this.#routes.push({
      methods: listed?.kind === "list"
        ? listed.items.flatMap((one) => literal(one)?.toUpperCase() ?? [])
        : ["GET"],
      path: literal(path) ?? "",
      file,
      line: call.line,
      handler: found?.kind === "function" ? found.fn : null,
      handlerFile: found?.kind === "function" ? found.file : file,
      guards: [
        ...guardsIn(file, option(call, "dependencies")),
        ...guardsIn(file, option(call, "middleware")),
        ...(found?.kind === "function"
          ? found.fn.decorators.map((value) => guard(found.file, value))
          : []),
      ],
      kind: "http",
      owner,
    });
  }

  /** `router.register("users", UserViewSet)`: the framework makes a route of each method. */
  #viewSet(file: CodeFile, call: Call, name: string): void {
    if (!/View(Set)?$/.test(name)) return;
    const found = this.#names.define(file, name);
    const guards: Guard[] = [];
    if (found?.kind === "class") {
      for (const one of found.file.statements) {
        if (one.klass !== found.klass || one.fn !== null) continue;
        if (!/^throttle_(classes|scope)$/.test(one.target ?? "")) continue;
        const mark: Expr = { kind: "name", name: one.target ?? "", line: one.line };
        guards.push(guard(found.file, mark));
      }
    }
    const reads = found?.kind === "class" &&
      found.klass.bases.some((base) => /ReadOnly/.test(base));
    this.#routes.push({
      methods: reads ? ["GET"] : ["GET", "POST", "PUT", "DELETE"],
      path: `/${literal(call.args[0]) ?? ""}`,
      file,
      line: call.line,
      handler: null,
      handlerFile: file,
      guards,
      kind: "http",
      owner: "",
    });
  }

  /** `path("login/", LoginView.as_view())`, `path("api/", include("users.urls"))`. */
  #django(file: CodeFile, call: Call): void {
    const [first, view] = call.args;
    const path = literal(first);
    if (path === null || !view) return;
    if (view.kind === "call" && last(view.call.callee) === "include") {
      const module = literal(view.call.args[0]);
      const target = module ? this.#names.module(file, module) : null;
      if (target) {
        this.#put(`${target.path}#`, { owner: `${file.path}#`, prefix: path, guards: [] });
      } else if (module && /auth|account|login/.test(module)) {
        // django.contrib.auth.urls, allauth.urls: the package's own login.
        this.#routes.push({
          methods: ["POST"],
          path: `${path}login`,
          file,
          line: call.line,
          handler: null,
          handlerFile: file,
          guards: [guard(file, { kind: "name", name: module, line: call.line })],
          kind: "generated",
          owner: `${file.path}#`,
        });
      }
      return;
    }
    const isClass = view.kind === "call" && last(view.call.callee) === "as_view";
    const name = isClass && view.kind === "call"
      ? view.call.callee.replace(/\.as_view$/, "")
      : view.kind === "name"
      ? view.name
      : "";
    const found = this.#names.define(file, name);
    const home = found && found.kind !== "external" ? found.file : file;
    const guards: Guard[] = [];
    let handler: Fn | null = null;
    if (found?.kind === "function") {
      handler = found.fn;
      guards.push(...found.fn.decorators.map((value) => guard(home, value)));
    } else if (found?.kind === "class") {
      guards.push(...found.klass.decorators.map((value) => guard(home, value)));
      const methods = home.functions.filter(({ klass }) => klass === found.klass);
      handler = methods.find((fn) => fn.name === "post") ?? methods[0] ?? null;
      for (const one of home.statements) {
        if (one.klass !== found.klass || one.fn !== null) continue;
        if (one.target === "throttle_classes" || one.target === "throttle_scope") {
          guards.push(guard(home, { kind: "name", name: one.target, line: one.line }));
          guards.push(guard(home, one.value));
        }
      }
      for (const fn of methods) guards.push(...fn.decorators.map((value) => guard(home, value)));
    }
    if (view.kind === "call" && !isClass) guards.push(guard(file, view));
    const isGenerated = found === null || found.kind === "external";
    if (isGenerated && name !== "") {
      guards.push(guard(file, { kind: "name", name, line: call.line }));
    }
    this.#routes.push({
      methods: ["ANY"],
      path: `/${path.replace(/[\^$]/g, "")}`,
      file: home,
      line: home === file && !handler ? call.line : handler?.line ?? call.line,
      handler,
      handlerFile: home,
      guards,
      kind: isGenerated ? "generated" : "http",
      owner: `${file.path}#`,
    });
  }

  #mount(file: CodeFile, call: Call, value: Expr, path = ""): void {
    if (call.site.fn && !this.#names.isUsed(call.site.fn)) return;
    this.#mounts.push({ file, value, line: call.line, path, when: call.site.when });
  }

  // --- JavaScript ---

  #script(file: CodeFile): void {
    for (const call of file.calls) this.#scriptCall(file, call);
    for (const one of file.statements) this.#listed(file, one);
    this.#nest(file);
    this.#next(file);
  }

  #scriptCall(file: CodeFile, call: Call): void {
    const at = call.callee.lastIndexOf(".");
    if (at < 0) return;
    const owner = call.callee.slice(0, at);
    const name = call.callee.slice(at + 1);
    const { fn } = call.site;
    const [first, ...rest] = call.args;
    if (METHODS.has(name) || name === "all") {
      const chained = /(?:^|\.)route\(\)(?:\.\w+\(\))*$/.exec(owner);
      const path = chained ? routeOf(call.receiver) : literal(first);
      const handlers = chained ? call.args : rest;
      const handler = handlers.at(-1);
      if (path === null || (!path.startsWith("/") && path !== "*") || !handler) return;
      if (!isHandler(handler)) return;
      const base = chained ? owner.slice(0, chained.index) : owner;
      this.#push(file, call, {
        methods: [name === "all" ? "ANY" : name.toUpperCase()],
        path,
        handler,
        owner: this.#key(file, base.replace(/\(\).*/, ""), fn),
        guards: handlers.slice(0, -1).map((value) => guard(file, value)),
      });
    } else if (name === "route" && first?.kind === "map") {
      const path = literal(option(call, "url")) ?? literal(option(call, "path"));
      const handler = option(call, "handler");
      if (path === null || !handler) return;
      const method = option(call, "method");
      this.#push(file, call, {
        methods: method?.kind === "list"
          ? method.items.flatMap((one) => literal(one)?.toUpperCase() ?? [])
          : [literal(method)?.toUpperCase() ?? "ANY"],
        path,
        handler,
        owner: this.#key(file, owner, fn),
        guards: [guard(file, first)],
      });
    } else if (name === "use" || (name === "route" && rest.length === 1)) {
      this.#use(file, call, owner);
    } else if (name === "register" && first) {
      this.#register(file, call, owner);
    } else if (/^(addHook|useGlobalGuards|useGlobalInterceptors|useGlobalFilters)$/.test(name)) {
      for (const value of name === "addHook" ? rest : call.args) this.#mount(file, call, value);
    }
  }

  /** `[{ path: "/auth", route: authRoute }].forEach(({ path, route }) => router.use(path, route))`. */
  #listed(file: CodeFile, statement: Statement): void {
    for (const one of walk(statement.value)) {
      if (one.kind !== "map") continue;
      const of = (keys: RegExp) => one.entries.find(({ key }) => keys.test(key ?? ""))?.value;
      const path = literal(of(/^(path|prefix|url)$/));
      const router = of(/^(route|router|routes|handler)$/);
      if (path === null || router?.kind !== "name") continue;
      const found = this.#names.define(file, router.name);
      const isRouter = found?.kind === "value" && isRouterValue(found.value);
      if (!isRouter) continue;
      const parent = { owner: this.#key(file, "default"), prefix: path, guards: [] };
      this.#put(this.#key(file, router.name), parent);
    }
  }

  #use(file: CodeFile, call: Call, owner: string): void {
    const [first, ...rest] = call.args;
    const path = literal(first);
    const values = path === null ? call.args : rest;
    const guards: Guard[] = [];
    for (const value of values) {
      const named = value.kind === "name"
        ? value.name
        : value.kind === "call" && /\.routes$/.test(value.call.callee)
        ? value.call.callee.replace(/\.routes$/, "")
        : null;
      const key = named === null ? null : this.#key(file, named);
      const found = named === null ? null : this.#names.define(file, named);
      const isRouter = key !== null && found !== null &&
        (found.kind === "module" || (found.kind === "value" && isRouterValue(found.value)));
      if (isRouter || last(call.callee) === "route") {
        const prefix = path?.replace(/\*+$/, "") ?? "";
        const parent = { owner: this.#key(file, owner, call.site.fn), prefix, guards: [...guards] };
        if (key !== null) this.#put(key, parent);
        continue;
      }
      guards.push(guard(file, value));
      const app = this.#own.get(this.#key(file, owner, call.site.fn));
      const above = app?.prefix ?? "";
      this.#mount(file, call, value, joined(above, (path ?? "").replace(/\*+$/, "")));
    }
    const target = this.#key(file, owner, call.site.fn);
    if (path === null && guards.length > 0 && isRouterName(owner)) {
      // router.use(limiter) stands before that router's routes alone.
      const own = this.#own.get(target) ?? { prefix: "", guards: [] };
      this.#own.set(target, { ...own, guards: [...own.guards, ...guards] });
      this.#mounts.splice(-guards.length, guards.length);
    }
  }

  #register(file: CodeFile, call: Call, owner: string): void {
    const [first] = call.args;
    if (!first) return;
    const prefix = literal(option(call, "prefix")) ?? "";
    if (first.kind === "name") {
      const found = this.#names.define(file, first.name);
      if (found && found.kind !== "external") {
        const parent = {
          owner: this.#key(file, owner, call.site.fn),
          prefix,
          guards: [] as Guard[],
        };
        this.#put(this.#key(file, first.name), parent);
      }
    }
    this.#mount(file, call, { kind: "call", call, line: call.line });
  }

  #push(
    file: CodeFile,
    call: Call,
    { methods, path, handler, owner, guards }: {
      methods: string[];
      path: string;
      handler: Expr;
      owner: string;
      guards: Guard[];
    },
  ): void {
    const found = this.#function(file, handler);
    this.#routes.push({
      methods,
      path,
      file,
      line: call.line,
      handler: found?.fn ?? null,
      handlerFile: found?.file ?? file,
      guards: handler.kind === "call" ? [...guards, guard(file, handler)] : guards,
      kind: "http",
      owner,
    });
  }

  /** The function that a handler is: itself, a name's, `controller.login`, or the last argument of a wrapper. */
  #function(file: CodeFile, handler: Expr): { file: CodeFile; fn: Fn } | null {
    if (handler.kind === "function") return { file, fn: handler.fn };
    if (handler.kind === "call") {
      const inner = handler.call.args.findLast((one) =>
        one.kind === "function" || one.kind === "name"
      );
      const bound = /^(.*)\.bind$/.exec(handler.call.callee)?.[1];
      if (bound) return this.#function(file, { kind: "name", name: bound, line: handler.line });
      return inner ? this.#function(file, inner) : null;
    }
    if (handler.kind !== "name") return null;
    const found = this.#names.define(file, handler.name);
    if (found?.kind === "function") return { file: found.file, fn: found.fn };
    if (found?.kind === "value" && found.value.kind === "call") {
      return this.#function(found.file, found.value);
    }
    const [alone, ...others] = this.#names.entered(file, handler.name);
    return alone && others.length === 0 ? alone : null;
  }

  #nest(file: CodeFile): void {
    for (const klass of file.classes) {
      const controller = klass.decorators.flatMap((one) =>
        one.kind === "call" && one.call.callee === "Controller" ? [one.call] : []
      )[0];
      if (!controller) {
        continue;
      }
      const prefix = literal(controller.args[0]) ?? literal(option(controller, "path")) ?? "";
      const shared = klass.decorators.map((value) =>
        guard(file, value)
      );
      for (const fn of file.functions) {
        if (fn.klass !== klass) continue;
        for (const mark of fn.decorators) {
          if (mark.kind !== "call") continue;
          const verb = /^(Get|Post|Put|Patch|Delete|All)$/.exec(mark.call.callee)?.[1];
          if (!verb) continue;
          this.#routes.push({
            methods: [verb === "All" ? "ANY" : verb.toUpperCase()],
            path: joined(`/${prefix}`, `/${literal(mark.call.args[0]) ?? ""}`),
            file,
            line: mark.line,
            handler: fn,
            handlerFile: file,
            guards: [...fn.decorators.map((value) => guard(file, value)), ...shared],
            kind: "http",
            owner: "",
          });
        }
      }
    }
    for (const one of file.statements) {
      for (const inner of walk(one.value)) this.#provided(file, inner);
    }
    for (const klass of file.classes) {
      for (const mark of klass.decorators) {
        for (const inner of walk(mark)) this.#provided(file, inner);
      }
    }
  }

  /** `{ provide: APP_GUARD, useClass: ThrottlerGuard }`. */
  #provided(file: CodeFile, expr: Expr): void {
    if (expr.kind !== "map") return;
    const of = (key: string) => expr.entries.find((entry) => entry.key === key)?.value;
    const token = of("provide");
    if (token?.kind !== "name" || !/^APP_(GUARD|FILTER|INTERCEPTOR)$/.test(token.name)) return;
    const value = of("useClass") ?? of("useFactory") ?? of("useExisting") ?? of("useValue");
    if (value) this.#mounts.push({ file, value, line: value.line, path: "", when: [] });
  }

  #next(file: CodeFile): void {
    const app = /(?:^|\/)app\/((?:.*\/)?)route\.[jt]sx?$/.exec(file.path);
    const pages = /(?:^|\/)pages\/(api\/.*)\.[jt]sx?$/.exec(file.path);
    const path = app
      ? `/${(app[1] ?? "").replace(/\([^)]*\)\/?/g, "")}`
      : pages
      ? `/${(pages[1] ?? "").replace(/\/index$/, "")}`
      : null;
    const wanted = app ? /^(GET|POST|PUT|PATCH|DELETE)$/ : /^default$/;
    if (path !== null) {
      for (const name of new Set(file.exports)) {
        if (!wanted.test(name)) continue;
        const found = this.#function(file, { kind: "name", name, line: 1 });
        const value = file.statements.find((one) => isTop(one) && covers(one.target, name));
        this.#routes.push({
          methods: [app ? name : "ANY"],
          path: path.length > 1 ? path.replace(/\/$/, "") : path,
          file,
          line: found?.fn.line ?? value?.line ?? 1,
          handler: found?.fn ?? null,
          handlerFile: found?.file ?? file,
          guards: value && value.value.kind !== "function" ? [guard(file, value.value)] : [],
          kind: "http",
          owner: "",
        });
      }
    }
    if (
      /(^|\/)(middleware|proxy)\.[jt]s$/.test(file.path) && !/(server|api)\/src\//.test(file.path)
    ) {
      for (const name of ["middleware", "proxy", "default"]) {
        if (!file.exports.includes(name)) continue;
        const found = this.#function(file, { kind: "name", name, line: 1 });
        const value: Expr = found
          ? { kind: "function", fn: found.fn, line: found.fn.line }
          : file.statements.find((one) => isTop(one) && one.target === name)?.value ??
            { kind: "none", line: 1 };
        const { line } = value;
        this.#mounts.push({ file: found?.file ?? file, value, line, path: "", when: [] });
        break;
      }
    }
    const isServer = file.directives.includes("use server");
    for (const fn of file.functions) {
      const isAction = fn.decorators.some((one) => literal(one) === "use server") ||
        (isServer && fn.parent === null && file.exports.includes(fn.name));
      if (!isAction || fn.name === "") continue;
      this.#action(file, fn.name, fn, fn.line, []);
    }
    for (const one of isServer ? file.statements : []) {
      if (!isTop(one) || one.value.kind !== "call" || !file.exports.includes(one.target ?? "")) {
        continue;
      }
      const found = this.#function(file, one.value);
      this.#action(file, one.target ?? "", found?.fn ?? null, one.line, [guard(file, one.value)]);
    }
    for (const one of file.statements) this.#procedures(file, one);
  }

  /** tRPC: `login: publicProcedure.input(…).mutation(…)`. */
  #procedures(file: CodeFile, statement: Statement): void {
    for (const one of walk(statement.value)) {
      if (one.kind !== "map") continue;
      for (const { key, value } of one.entries) {
        if (key === null || value.kind !== "call") continue;
        if (!/[Pp]rocedure\b.*\.mutation$/.test(value.call.callee)) continue;
        const found = this.#function(file, value);
        this.#action(file, key, found?.fn ?? null, value.line, [guard(file, value)]);
      }
    }
  }

  #action(file: CodeFile, name: string, fn: Fn | null, line: number, guards: Guard[]): void {
    this.#routes.push({
      methods: ["POST"],
      path: name,
      file,
      line,
      handler: fn,
      handlerFile: file,
      guards,
      kind: "action",
      owner: "",
    });
  }
}

function guard(file: CodeFile, value: Expr): Guard {
  return { file, value, line: value.line };
}

function guardsIn(file: CodeFile, list: Expr | null): Guard[] {
  if (list?.kind === "list") return list.items.map((value) => guard(file, value));
  return list ? [guard(file, list)] : [];
}

function joined(prefix: string, path: string): string {
  if (prefix === "" || prefix === "/") return path;
  return `${prefix.replace(/\/$/, "")}${path === "" || path.startsWith("/") ? "" : "/"}${path}`;
}

/** The path of `router.route("/x")` behind a chain. */
function routeOf(receiver: Expr | null): string | null {
  let at = receiver;
  for (let steps = 0; at?.kind === "call" && steps < MOST_LEVELS; steps++) {
    if (last(at.call.callee) === "route") return literal(at.call.args[0]);
    at = at.call.receiver;
  }
  return null;
}

function isHandler(value: Expr): boolean {
  return ["function", "name", "call", "list"].includes(value.kind);
}

function isRouterValue(value: Expr): boolean {
  return value.kind === "call" &&
    /(Router|Hono|basePath|\.(get|post|put|patch|delete|use|route))$/.test(value.call.callee);
}

function isRouterName(owner: string): boolean {
  return /rout(er|es)$/i.test(owner);
}

function isTop(one: Statement): boolean {
  return one.kind === "assign" && one.fn === null && one.klass === null;
}

function covers(target: string | null, name: string): boolean {
  return target !== null && target.split(",").includes(name);
}
