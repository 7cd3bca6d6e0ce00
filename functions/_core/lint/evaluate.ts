import { construct, type Made } from "./make.ts";
import type { Export, Module } from "./module.ts";
import { scopeAt } from "./module.ts";
import { isServiceKeyName } from "./names.ts";
import { known, WRAPPERS } from "./packages.ts";
import { findSecrets } from "./secrets.ts";
import { inputFrom, isRequestName } from "./request.ts";
import type { Binding, Path } from "./scope.ts";
import {
  above,
  child,
  children,
  flag,
  isFunction,
  isMember,
  keyName,
  type Node,
  parts,
  plainTemplate,
  unwrap,
  word,
} from "./syntax.ts";
import {
  type Argument,
  type Context,
  type ParameterFacts,
  type Query,
  sameValue,
  type Site,
  type Value,
} from "./value.ts";

/** The module that a specifier means, or the specifier of the package (as an import map has it). */
export type Resolve = (from: string, specifier: string) => Module | string;

const MAX_VALUES = 12;
/** Calls inside of calls; two branches at each are 64 ways already. */
const MAX_DEPTH = 6;
/** Steps for one question from outside: code that is too tangled is left as unknown, never followed for ever. */
const MAX_STEPS = 2_000;

/**
 * Follows values through a program: names, destructuring, objects, classes, functions with their arguments, imports
 * and re-exports. Answers what an expression may be; an empty list is "nothing known".
 */
export class Evaluator {
  readonly #resolve: Resolve;
  readonly #cache = new Map<Node, Value[]>();
  readonly #running = new Set<Node>();
  readonly #sites = new Map<Node, Site>();
  readonly #queries = new Map<Node, Query>();
  readonly #returns = new WeakMap<Node, Node[]>();
  readonly #facts: ParameterFacts = new Map();
  readonly #properties = new Map<string, Value[]>();
  #steps = 0;
  #depth = 0;

  constructor(resolve: Resolve) {
    this.#resolve = resolve;
  }

  /** What `node` may be, whoever calls the function that it stands in. */
  evaluate(node: Node, module: Module): Value[] {
    this.#steps = 0;
    const values = this.value(node, module, null);
    // Too tangled once is too tangled until more is known.
    this.#cache.set(node, values);
    return values;
  }

  /** Forget what was answered, because more is known about parameters now; clients and queries stay who they are. */
  forget(): void {
    this.#cache.clear();
  }

  /** Learn that a function is called with an argument. Answers whether that is new. */
  learn(fn: Node, index: number, argument: Argument): boolean {
    const byIndex = this.#facts.get(fn) ?? new Map<number, Argument[]>();
    this.#facts.set(fn, byIndex);
    const list = byIndex.get(index) ?? [];
    byIndex.set(index, list);
    if (list.length >= MAX_VALUES || list.some((one) => one.node === argument.node)) return false;
    list.push(argument);
    return true;
  }

  /** Learn that somewhere a property of this name is given this value. */
  learnProperty(name: string, values: readonly Value[]): void {
    const list = this.#properties.get(name) ?? [];
    this.#properties.set(name, list);
    add(list, values);
  }

  site(node: Node, module: Module): Site {
    const known = this.#sites.get(node);
    if (known) return known;
    const site: Site = { node, module, uses: new Set() };
    this.#sites.set(node, site);
    return site;
  }

  /** Every query that was seen. */
  queries(): Iterable<Query> {
    return this.#queries.values();
  }

  value(node: Node, module: Module, context: Context): Value[] {
    if (++this.#steps > MAX_STEPS || this.#depth > 60) return [];
    if (context === null) {
      const cached = this.#cache.get(node);
      if (cached) return cached;
    }
    if (this.#running.has(node) && (context === null || context.depth > MAX_DEPTH)) return [];
    const outermost = !this.#running.has(node);
    this.#running.add(node);
    this.#depth++;
    try {
      const values = this.#value(node, module, context);
      if (context === null && this.#steps <= MAX_STEPS) this.#cache.set(node, values);
      return values;
    } finally {
      this.#depth--;
      if (outermost) this.#running.delete(node);
    }
  }

  #value(node: Node, module: Module, context: Context): Value[] {
    const inner = unwrap(node);
    if (inner !== node) return this.value(inner, module, context);
    switch (node.type) {
      case "StringLiteral":
        return literal(word(node, "value"), node, module);
      case "TemplateLiteral": {
        const plain = plainTemplate(node);
        if (plain !== null) return literal(plain, node, module);
        return union(
          children(node, "expressions").map((one) => this.value(one, module, context)),
        ).filter(isPayload);
      }
      case "BinaryExpression":
        return word(node, "operator") === "+"
          ? union([
            this.#part(node, "left", module, context),
            this.#part(node, "right", module, context),
          ]).filter(isPayload)
          : [];
      case "LogicalExpression":
        return word(node, "operator") === "&&"
          ? this.#part(node, "right", module, context)
          : union([
            this.#part(node, "left", module, context),
            this.#part(node, "right", module, context),
          ]);
      case "ConditionalExpression":
        return union([
          this.#part(node, "consequent", module, context),
          this.#part(node, "alternate", module, context),
        ]);
      case "SequenceExpression":
        return this.#last(children(node, "expressions"), module, context);
      case "AssignmentExpression":
        return union([
          this.#part(node, "right", module, context),
          word(node, "operator") === "=" ? [] : this.#part(node, "left", module, context),
        ]);
      case "Identifier":
        return this.#identifier(node, module, context);
      case "ThisExpression":
        return this.#self(node, module, context);
      case "MetaProperty":
        return [{ kind: "global", name: "import.meta" }];
      case "ObjectExpression":
      case "ArrayExpression":
        return [{ kind: "object", node, module, context }];
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
      case "ObjectMethod":
      case "ClassMethod":
      case "ClassPrivateMethod":
        return [{ kind: "function", node, module, context }];
      case "ClassDeclaration":
      case "ClassExpression":
        return [{ kind: "class", node, module }];
      case "MemberExpression":
      case "OptionalMemberExpression":
        return this.#member(node, module, context);
      case "CallExpression":
      case "OptionalCallExpression":
      case "NewExpression":
        return this.#call(node, module, context);
      case "ImportExpression":
        return this.#imported(module, word(child(node, "source"), "value"), "*");
      default:
        return [];
    }
  }

  #part(node: Node, field: string, module: Module, context: Context): Value[] {
    const part = child(node, field);
    return part ? this.value(part, module, context) : [];
  }

  #last(nodes: readonly Node[], module: Module, context: Context): Value[] {
    const last = nodes.at(-1);
    return last ? this.value(last, module, context) : [];
  }

  #identifier(node: Node, module: Module, context: Context): Value[] {
    const name = word(node, "name");
    const binding = scopeAt(module, node).find(name);
    return binding ? this.binding(binding, module, context) : this.#global(name);
  }

  #global(name: string): Value[] {
    if (name === "undefined") return [];
    return [{ kind: "global", name }];
  }

  /** Everything that a name can hold. */
  binding(binding: Binding, module: Module, context: Context): Value[] {
    if (binding.imported) {
      const { specifier, name } = binding.imported;
      return this.#imported(module, specifier, name);
    }
    const found: Value[] = [];
    const path = binding.path ?? [];
    if (binding.param) {
      for (const one of this.#passedTo(binding.param, context)) {
        add(found, this.#follow(this.value(one.node, one.module, one.context), path));
      }
    }
    if (binding.init) add(found, this.#follow(this.value(binding.init, module, context), path));
    for (const { value, path: way } of binding.assigned) {
      add(found, this.#follow(this.value(value, module, context), way));
    }
    for (const { value, depth } of binding.defaults ?? []) {
      add(found, this.#follow(this.value(value, module, context), path.slice(depth)));
    }
    if (found.length === 0 && binding.kind === "param") add(found, unknownParameter(binding));
    if (found.length === 0) found.push({ kind: "named", name: lastKey(path) ?? binding.name });
    return found;
  }

  /** The arguments that a parameter gets: in the call that is followed, or in every call that is known. */
  #passedTo({ of: fn, index }: { of: Node; index: number }, context: Context): readonly Argument[] {
    for (let at = context; at; at = at.outer) {
      const passed = at.args.get(fn);
      if (!passed) continue;
      const argument = passed[index];
      return argument ? [argument] : [];
    }
    return this.#facts.get(fn)?.get(index) ?? [];
  }

  #follow(values: Value[], path: Path): Value[] {
    let at = values;
    for (const key of path) at = union(at.map((value) => this.property(value, String(key))));
    return at;
  }

  #imported(module: Module, specifier: string, name: string): Value[] {
    const target = this.#resolve(module.path, specifier);
    if (typeof target !== "string") {
      return name === "*" ? [{ kind: "module", module: target }] : this.exported(target, name);
    }
    if (/^\$env\/(static|dynamic)\/(private|public)$/.test(specifier)) {
      if (specifier.includes("dynamic")) return name === "env" ? [{ kind: "env" }] : [];
      if (name === "*") return [{ kind: "env" }];
      return [{ kind: "variable", name }];
    }
    if (specifier === "cloudflare:workers" && name === "env") return [{ kind: "env" }];
    if (/^(node:)?process$/.test(specifier)) {
      return name === "env" ? [{ kind: "env" }] : [{ kind: "global", name: "process" }];
    }
    return [{ kind: "external", specifier: target, name }];
  }

  /** What a module exports under a name, through re-exports and barrels. */
  exported(module: Module, name: string, seen: ReadonlySet<Module> = new Set()): Value[] {
    if (seen.has(module) || ++this.#steps > MAX_STEPS) return [];
    const entry = module.exports.get(name);
    if (entry) return this.#export(module, entry, new Set([...seen, module]));
    // `module.exports = { name }` read by name.
    const whole = module.exports.get("default");
    if (whole?.from === "here" && name !== "default") {
      const values = union(
        this.value(whole.value, module, null).map((value) => this.property(value, name)),
      );
      if (values.length > 0) return values;
    }
    if (name === "default") return module.exports.size > 0 ? [{ kind: "module", module }] : [];
    for (const specifier of module.stars) {
      const target = this.#resolve(module.path, specifier);
      const values: Value[] = typeof target !== "string"
        ? this.exported(target, name, new Set([...seen, module]))
        : known(target, name)
        ? [{ kind: "external", specifier: target, name }]
        : [];
      if (values.length > 0) return values;
    }
    return [];
  }

  #export(module: Module, entry: Export, seen: ReadonlySet<Module>): Value[] {
    if (entry.from === "here") return this.value(entry.value, module, null);
    if (entry.from === "binding") {
      const binding = module.scope.find(entry.name);
      return binding ? this.binding(binding, module, null) : [];
    }
    const target = this.#resolve(module.path, entry.specifier);
    if (typeof target === "string") {
      return [{ kind: "external", specifier: target, name: entry.name }];
    }
    if (entry.name === "*") return [{ kind: "module", module: target }];
    return this.exported(target, entry.name, seen);
  }

  /** `this` inside a class. */
  #self(node: Node, module: Module, context: Context): Value[] {
    const owner = above(
      node,
      (at) =>
        at.type === "ClassBody" || at.type === "FunctionDeclaration" ||
        at.type === "FunctionExpression" || at.type === "ObjectMethod",
    );
    const of = owner?.type === "ClassBody" ? owner.parent : null;
    return of ? [{ kind: "instance", node: of, module, context }] : [];
  }

  #member(node: Node, module: Module, context: Context): Value[] {
    const object = child(node, "object");
    if (!object) return [];
    const values = this.value(object, module, context);
    const fixed = keyName(node, "property");
    const key = child(node, "property");
    const names = fixed !== null
      ? [fixed]
      : key
      ? this.value(key, module, context).flatMap((one) => one.kind === "string" ? [one.value] : [])
      : [];
    const found: Value[] = [];
    for (const name of names) {
      for (const value of values) add(found, this.property(value, name));
      if (found.length === 0) add(found, this.byName(name, values));
    }
    return found;
  }

  /** What a property may be when its object can't be followed: the name of a service key speaks for itself. */
  byName(name: string, objects: readonly Value[]): Value[] {
    if (isServiceKeyName(name)) return [{ kind: "variable", name }];
    if (isRequestName(name) && !objects.some((one) => one.kind === "input")) {
      return [{ kind: "request" }];
    }
    const known = this.#properties.get(name);
    if (known && known.length > 0 && known.every(isServiceClient)) return known;
    return [{ kind: "named", name }];
  }

  /** `value.name`. */
  property(value: Value, name: string): Value[] {
    switch (value.kind) {
      case "env":
        if (name === "get") return [{ kind: "env-get" }];
        return [{ kind: "variable", name }];
      case "global":
        if (name === "env" && ["process", "Deno", "Bun", "import.meta"].includes(value.name)) {
          return [{ kind: "env" }];
        }
        if (["globalThis", "global", "window"].includes(value.name)) {
          return ["process", "Deno", "Bun", "fetch"].includes(name)
            ? this.#global(name)
            : this.byName(name, []);
        }
        return [];
      case "external":
        if (value.name === "*") return [{ ...value, name }];
        // `import pg from "pg"; new pg.Pool()`, and `import x from "cjs"`.
        return value.name === "default" && known(value.specifier, name)
          ? [{ ...value, name }]
          : WRAPPERS.has(name)
          ? [{ kind: "external", specifier: value.specifier, name }]
          : [];
      case "module":
        return this.exported(value.module, name);
      case "object":
        return this.#objectProperty(value, name);
      case "instance":
        return this.#instanceProperty(value, name);
      case "class":
        return this.#classMember(value.node, value.module, name, true, null);
      case "client":
        if (name === "storage") return [{ kind: "storage", client: value }];
        if (name === "auth") return [{ kind: "auth", client: value }];
        return [];
      case "auth":
        return [value];
      // `SUPABASE_SECRET_KEYS` holds a JSON object of keys by name.
      case "variable":
        return /_KEYS$/.test(value.name) && isServiceKeyName(value.name) ? [value] : [];
      case "pool":
        return name === "$client" ? [value] : [];
      case "request":
      case "input":
        return inputFrom(value, name);
      default:
        return [];
    }
  }

  #objectProperty(value: Extract<Value, { kind: "object" }>, name: string): Value[] {
    const { node, module, context } = value;
    if (node.type === "ArrayExpression") {
      const element = children(node, "elements")[Number(name)];
      return element ? this.value(element, module, context) : [];
    }
    const found: Value[] = [];
    for (const one of children(node, "properties")) {
      if (one.type === "SpreadElement") {
        const argument = child(one, "argument");
        if (!argument) continue;
        for (const part of this.value(argument, module, context)) {
          add(found, this.property(part, name));
        }
      } else if (keyName(one) === name || name === "*") {
        if (one.type === "ObjectMethod") {
          const method: Value = { kind: "function", node: one, module, context };
          add(found, word(one, "kind") === "get" ? this.call(method, null) : [method]);
        } else {
          const inner = child(one, "value");
          if (inner) add(found, this.value(inner, module, context));
        }
      }
    }
    return found;
  }

  #instanceProperty(value: Extract<Value, { kind: "instance" }>, name: string): Value[] {
    return this.#classMember(value.node, value.module, name, false, value.context);
  }

  #classMember(
    node: Node,
    module: Module,
    name: string,
    isStatic: boolean,
    context: Context,
  ): Value[] {
    const found: Value[] = [];
    const body = children(child(node, "body"), "body");
    for (const member of body) {
      if (word(member, "kind") === "constructor" && !isStatic) {
        add(found, this.#constructed(member, module, name, context));
      }
      if (flag(member, "static") !== isStatic || keyName(member) !== name) continue;
      if (isFunction(member)) {
        const method: Value = { kind: "function", node: member, module, context };
        add(found, word(member, "kind") === "get" ? this.call(method, null) : [method]);
      } else {
        const inner = child(member, "value");
        if (inner) add(found, this.value(inner, module, context));
      }
    }
    for (const { target, value } of module.assignments) {
      if (!isMember(target) || keyName(target, "property") !== name) continue;
      const object = child(target, "object");
      const isOwn = isStatic
        ? object?.type === "Identifier" && word(object, "name") === word(child(node, "id"), "name")
        : object?.type === "ThisExpression";
      if (isOwn && above(target, (at) => at === node)) {
        add(found, this.value(value, module, context));
      }
    }
    if (found.length > 0) return found;
    const parent = child(node, "superClass");
    if (parent) {
      for (const base of this.value(parent, module, null)) {
        if (base.kind === "class" && base.node !== node) {
          add(found, this.#classMember(base.node, base.module, name, isStatic, context));
        }
      }
    }
    return found.length > 0 ? found : [{ kind: "named", name }];
  }

  /** `constructor(private readonly name: T)`. */
  #constructed(constructor: Node, module: Module, name: string, context: Context): Value[] {
    const isProperty = children(constructor, "params").some((param) =>
      param.type === "TSParameterProperty" &&
      (word(child(param, "parameter"), "name") === name ||
        word(child(child(param, "parameter"), "left"), "name") === name)
    );
    const binding = isProperty ? module.scopes.get(constructor)?.names.get(name) : null;
    return binding ? this.binding(binding, module, context) : [];
  }

  #call(node: Node, module: Module, context: Context): Value[] {
    const callee = child(node, "callee");
    if (!callee) return [];
    const args = children(node, "arguments");
    if (
      callee.type === "Import" ||
      (callee.type === "Identifier" && word(callee, "name") === "require" &&
        !scopeAt(module, callee).find("require"))
    ) {
      const [first] = args;
      return first?.type === "StringLiteral"
        ? this.#imported(module, word(first, "value"), "*")
        : [];
    }
    const made: Made = { node, module, context, args };
    const found: Value[] = [];
    const callees = this.value(callee, module, context);
    for (const one of callees) {
      if (one.kind === "env-get") {
        for (const name of this.#strings(args[0], module, context)) {
          found.push({ kind: "variable", name });
        }
      } else if (one.kind === "external") add(found, construct(this, one, made));
      else if (one.kind === "function" && !isWrapper(one.node)) add(found, this.call(one, made));
      else if (one.kind === "class" && node.type === "NewExpression") {
        if (WRAPPERS.has(word(child(one.node, "id"), "name"))) continue;
        found.push({
          kind: "instance",
          node: one.node,
          module: one.module,
          context: this.#constructorContext(one.node, made),
        });
      } else if (one.kind === "global") add(found, this.#globalCall(one.name, made));
    }
    if (isMember(callee)) add(found, this.#methodCall(callee, made));
    if (found.length === 0) add(found, this.#unknownCall(made));
    return found;
  }

  #globalCall(name: string, { args, module, context }: Made): Value[] {
    const [first] = args;
    if (name === "String" && first) return this.value(first, module, context);
    if (name === "Proxy" && first) return this.#proxied(args, module, context);
    // `new URL(request.url).searchParams`
    if (name === "URL" && first) {
      return this.value(first, module, context).some((one) =>
          one.kind === "named" && one.name === "url" || one.kind === "request"
        )
        ? [{ kind: "input", part: "query", name: "" }]
        : [];
    }
    return [];
  }

  /** What a proxy stands for: its target, and whatever its `get` looks into, a client that is made when it is needed. */
  #proxied(args: readonly Node[], module: Module, context: Context): Value[] {
    const [target, traps] = args;
    const found = target ? [...this.value(target, module, context)] : [];
    for (const trap of traps ? this.value(traps, module, context) : []) {
      for (const get of this.property(trap, "get")) {
        if (get.kind !== "function") continue;
        const stack = [get.node];
        for (let at = stack.pop(); at; at = stack.pop()) {
          const looked = lookedInto(at);
          if (looked) add(found, this.value(looked, get.module, get.context));
          stack.push(...parts(at));
        }
      }
    }
    return found.filter((one) => one.kind !== "named" && one.kind !== "object");
  }

  /** Methods of values that are known: `client.from()`, `query.eq()`, `key.trim()`, `fn.bind()`. */
  #methodCall(callee: Node, made: Made): Value[] {
    const object = child(callee, "object");
    const method = keyName(callee, "property");
    if (!object || method === null) return [];
    const found: Value[] = [];
    for (const value of this.value(object, made.module, made.context)) {
      if (value.kind === "client") {
        if (method === "schema") found.push(value);
        if (method === "from") found.push({ kind: "query", query: this.#query(value, made) });
      } else if (value.kind === "storage" && method === "from") {
        found.push({ kind: "bucket", client: value.client });
      } else if (value.kind === "query") found.push(value);
      else if (
        value.kind === "pool" && ["connect", "reserve", "$extends", "getClient"].includes(method)
      ) {
        found.push(value);
      } else if (isPayload(value) && TEXT_METHODS.has(method)) found.push(value);
      else if (value.kind === "request" || value.kind === "input") {
        add(found, this.#inputCall(value, method, made));
      } else if (
        value.kind === "global" && value.name === "Promise" && /^(resolve|all)$/.test(method)
      ) {
        const [first] = made.args;
        if (first) add(found, this.value(first, made.module, made.context));
      } else if (
        value.kind === "global" && value.name === "Object" && /^(freeze|seal|assign)$/.test(method)
      ) {
        for (const one of made.args) add(found, this.value(one, made.module, made.context));
      } else if (value.kind === "global" && value.name === "Deno" && method === "env") {
        found.push({ kind: "env" });
      }
    }
    return found;
  }

  #inputCall(value: Value, method: string, made: Made): Value[] {
    const [name] = this.#strings(made.args[0], made.module, made.context);
    if (value.kind === "request") {
      switch (method) {
        case "json":
        case "formData":
        case "parseBody":
        case "text":
          return [{ kind: "input", part: "body", name: "" }];
        case "header":
        case "get":
          return name === undefined
            ? []
            : inputFrom({ kind: "input", part: "header", name: "" }, name);
        case "query":
        case "queries":
          return [{ kind: "input", part: "query", name: name ?? "" }];
        case "valid":
          if (name === "param" || name === undefined || name === "cookie") return [];
          return [{
            kind: "input",
            part: name === "query" ? "query" : name === "header" ? "header" : "body",
            name: "",
          }];
        default:
          return [];
      }
    }
    if (value.kind !== "input") return [];
    if ((method === "get" || method === "getAll") && name !== undefined) {
      return inputFrom(value, name);
    }
    return TEXT_METHODS.has(method) || method === "toString" ? [value] : [];
  }

  /** A call of something that can't be followed. */
  #unknownCall(made: Made): Value[] {
    const { args, module, context, node } = made;
    const callee = child(node, "callee");
    const name = isMember(callee) ? keyName(callee, "property") : word(callee, "name");
    const [first] = args;
    if (!first) return [];
    // `requireEnv("SUPABASE_SERVICE_ROLE_KEY")`, `config.get("…")`, `getSecret("…")`
    for (const text of this.#strings(first, module, context)) {
      if (isServiceKeyName(text)) return [{ kind: "variable", name: text }];
    }
    const values = this.value(first, module, context);
    // `schema.parse(process.env)` has the names of the environment.
    if (values.some((one) => one.kind === "env")) return [{ kind: "env" }];
    if (
      name !== null &&
      /^(parse|safeParse|parseAsync|safeParseAsync|validate|cast|check|assert|Number|decodeURIComponent)$/
        .test(name)
    ) {
      return values.filter((one) =>
        one.kind === "input" || name === "parse" && one.kind === "variable"
      );
    }
    // `cache(() => createClient(…))`, `once(…)`, `memoize(…)`
    if (
      name !== null &&
      /^(cache|memo|memoize|once|lazy|singleton|useMemo|useState|remember|unstable_cache|use)$/i
        .test(name)
    ) {
      const named = union([values, args[1] ? this.value(args[1], module, context) : []]);
      const functions = named.filter((one) => one.kind === "function");
      if (/^(useMemo|useState|singleton|remember)$/.test(name)) {
        return union(functions.map((one) => this.call(one, null)));
      }
      return functions.length > 0 ? functions : values;
    }
    return [];
  }

  /** What a function answers when called so; null arguments are "whoever calls it". */
  call(fn: Extract<Value, { kind: "function" }>, made: Made | null): Value[] {
    const { node, module } = fn;
    const depth = (made?.context?.depth ?? fn.context?.depth ?? 0) + 1;
    if (depth > MAX_DEPTH) return [];
    const params = children(node, "params");
    let context: Context = fn.context;
    if (made && params.length > 0) {
      context = { args: new Map([[node, passed(made)]]), outer: fn.context, depth };
    }
    return union(this.#returned(node).map((value) => this.value(value, module, context)));
  }

  #constructorContext(node: Node, made: Made): Context {
    const constructor = children(child(node, "body"), "body")
      .find((member) => word(member, "kind") === "constructor");
    const depth = (made.context?.depth ?? 0) + 1;
    if (!constructor || depth > MAX_DEPTH) return null;
    return { args: new Map([[constructor, passed(made)]]), outer: null, depth };
  }

  /** The expressions that a function answers with. */
  #returned(fn: Node): Node[] {
    const cached = this.#returns.get(fn);
    if (cached) return cached;
    const body = child(fn, "body");
    const found: Node[] = [];
    if (body && body.type !== "BlockStatement") found.push(body);
    else if (body) {
      const stack = [body];
      for (let at = stack.pop(); at; at = stack.pop()) {
        if (at.type === "ReturnStatement") {
          const argument = child(at, "argument");
          if (argument) found.push(argument);
          continue;
        }
        for (const part of parts(at)) {
          if (!isFunction(part) && !part.type.startsWith("Class")) stack.push(part);
        }
      }
    }
    this.#returns.set(fn, found);
    return found;
  }

  #strings(node: Node | undefined, module: Module, context: Context): string[] {
    if (!node) return [];
    return this.value(node, module, context).flatMap((one) =>
      one.kind === "string" ? [one.value] : []
    );
  }

  #query(client: Extract<Value, { kind: "client" }>, made: Made): Query {
    const existing = this.#queries.get(made.node);
    if (existing) {
      if (client.role === "service") existing.client = client;
      return existing;
    }
    const [table] = this.#strings(made.args[0], made.module, made.context);
    const query: Query = {
      node: made.node,
      module: made.module,
      table: table ?? null,
      client,
      calls: [],
      escapes: false,
    };
    this.#queries.set(made.node, query);
    return query;
  }
}

const TEXT_METHODS = new Set([
  ...[
    "trim",
    "toString",
    "replace",
    "replaceAll",
    "slice",
    "toLowerCase",
    "toUpperCase",
    "valueOf",
    "concat",
    "at",
    "split",
  ],
]);

/** The `x` of `x[name]` and of `Reflect.get(x, name)`. */
function lookedInto(node: Node): Node | null {
  if (isMember(node) && flag(node, "computed")) return child(node, "object");
  const callee = child(node, "callee");
  const isReflect = isMember(callee) && word(child(callee, "object"), "name") === "Reflect";
  return isReflect && keyName(callee, "property") === "get"
    ? children(node, "arguments")[0] ?? null
    : null;
}

function passed({ args, module, context }: Made): Argument[] {
  const list: Argument[] = [];
  for (const node of args) {
    if (node.type === "SpreadElement") break;
    list.push({ node, module, context });
  }
  return list;
}

function unknownParameter(binding: Binding): Value[] {
  const { node, path = [] } = binding;
  const annotation = typeText(node);
  if (path.length === 0) {
    if (
      isRequestName(binding.name) ||
      /\b(Request|NextRequest|NextApiRequest|FastifyRequest|IncomingMessage)\b/.test(annotation)
    ) {
      return [{ kind: "request" }];
    }
    if (/\bFormData\b/.test(annotation)) return [{ kind: "input", part: "body", name: "" }];
  }
  if (path.at(-1) === "searchParams" || binding.name === "searchParams") {
    return [{ kind: "input", part: "query", name: "" }];
  }
  const first = path[0];
  if (typeof first === "string" && isRequestName(first)) return [{ kind: "request" }];
  return [];
}

/** The name of a parameter's type, as written. */
function typeText(node: Node): string {
  const annotation = node["typeAnnotation"];
  if (typeof annotation !== "object" || annotation === null || !("typeAnnotation" in annotation)) {
    return "";
  }
  const inner = annotation.typeAnnotation;
  if (typeof inner !== "object" || inner === null || !("typeName" in inner)) return "";
  const name = inner.typeName;
  if (typeof name !== "object" || name === null) return "";
  if ("name" in name && typeof name.name === "string") return name.name;
  return "right" in name && typeof name.right === "object" && name.right !== null &&
      "name" in name.right &&
      typeof name.right.name === "string"
    ? name.right.name
    : "";
}

function lastKey(path: Path): string | null {
  const last = path.at(-1);
  return typeof last === "string" && last !== "*" ? last : null;
}

function literal(text: string, node: Node, module: Module): Value[] {
  const [secret] = findSecrets(text);
  return secret && !secret.isLocalDemo
    ? [{ kind: "secret", node, module }]
    : [{ kind: "string", value: text }];
}

/** What passes through a template: keys and what the sender wrote. */
function isPayload(value: Value): boolean {
  return ["variable", "secret", "input", "named"].includes(value.kind);
}

function isServiceClient(value: Value): boolean {
  return value.kind === "client" && value.role === "service";
}

function isWrapper(fn: Node): boolean {
  return WRAPPERS.has(word(child(fn, "id"), "name"));
}

/** All values of several lists, each once. */
export function union(lists: readonly Value[][]): Value[] {
  const [only] = lists;
  if (lists.length === 1 && only) return only;
  const all: Value[] = [];
  for (const list of lists) add(all, list);
  return all;
}

function add(to: Value[], values: readonly Value[]): void {
  for (const value of values) {
    if (to.length >= MAX_VALUES) return;
    if (!to.some((one) => sameValue(one, value))) to.push(value);
  }
}
