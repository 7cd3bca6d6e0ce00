import { segments } from "./segments.ts";

/** What a secret guards: keys that sign or encrypt, the first administrator, a service behind the application, or another's. */
export type SecretRole = "signing" | "administrator" | "service" | "other";

const SECRET = new Set([
  ...[
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "TOKEN",
    "KEY",
    "APIKEY",
  ],
  ...["CREDENTIAL", "CREDENTIALS", "PEPPER", "SALT", "PAT"],
]);
/** Behind the word they change nothing: `SECRET_KEY_BASE`, `JWT_SECRET_OLD`. */
const TAIL = new Set([
  "BASE",
  "OLD",
  "NEW",
  "CURRENT",
  "PREVIOUS",
  "DEFAULT",
  "PROD",
  "VALUE",
  "STR",
  "B64",
]);
/** Before KEY or TOKEN they make a name, an index or something that everybody may have. */
const HARMLESS = new Set([
  ...[
    "COOKIE",
    "CACHE",
    "PARTITION",
    "SORT",
    "PRIMARY",
    "FOREIGN",
    "PUBLIC",
    "PUBLISHABLE",
    "ANON",
    "SITE",
  ],
  ...[
    "INDEX",
    "LOCK",
    "QUEUE",
    "DICT",
    "GROUP",
    "ROUTING",
    "IDEMPOTENCY",
    "STORAGE",
    "HEADER",
    "LOOKUP",
  ],
  ...[
    "CONTEXT",
    "STATE",
    "OBJECT",
    "ROW",
    "MAP",
    "SEARCH",
    "CONFIG",
    "QUERY",
    "TRANSLATION",
    "LOCALE",
  ],
  ...[
    "CLIENTSIDE",
    "NEXT",
    "REACT",
    "METADATA",
    "PARAM",
    "FIELD",
    "EVENT",
    "RATELIMIT",
    "LIMIT",
    "S3",
  ],
  ...[
    "PAD",
    "EOS",
    "BOS",
    "UNK",
    "MASK",
    "CLS",
    "SEP",
    "STOP",
    "PAGE",
    "CSRFTOKEN",
    "HOT",
    "SHORTCUT",
  ],
]);

/**
 * Whether a name says that its value is a secret, by its words: `STRIPE_API_KEY` is one, `API_KEY_HEADER`,
 * `TOKEN_URL`, `PUBLISHABLE_KEY` and `MAX_TOKENS` are none.
 *
 * @example
 * isSecretName("jwtSecret"); // true
 */
export function isSecretName(name: string): boolean {
  const words = segments(name);
  while (words.length > 1 && (TAIL.has(words.at(-1) ?? "") || /^\d+$/.test(words.at(-1) ?? ""))) {
    words.pop();
  }
  const last = words.at(-1) ?? "";
  if (!SECRET.has(last)) return false;
  const before = words.slice(0, -1);
  if (before.some((word) => word === "PUBLIC" || word === "PUBLISHABLE" || word === "ANON")) {
    return false;
  }
  if (last === "KEY" || last === "TOKEN" || last === "SALT" || last === "PASS") {
    if (before.length === 0) return false;
    if (HARMLESS.has(before.at(-1) ?? "")) return false;
  }
  return !/^(IS|HAS|USE|ENABLE|ALLOW|REQUIRE|SHOW|FORGOT|RESET|VERIFY|BY|FOR|NEXT|NUXT|VITE)$/.test(
    before[0] ?? "",
  ) ||
    last === "SECRET";
}

/** Whose administrator stands behind the network, not before every visitor. */
const SERVICES = [
  ...[
    "DB",
    "DATABASE",
    "POSTGRES",
    "PG",
    "MYSQL",
    "MARIADB",
    "MONGO",
    "MONGODB",
    "MINIO",
    "REDIS",
    "RABBITMQ",
  ],
  ...["OPENSEARCH", "ELASTIC", "ELASTICSEARCH", "GRAFANA", "CLICKHOUSE", "NEO4J", "KAFKA"],
];

/** What a secret of this name guards. */
export function roleOf(name: string): SecretRole {
  const words = new Set(segments(name));
  const has = (...some: string[]) => some.some((word) => words.has(word));
  if (has("PASSWORD", "PASSWD", "PWD", "PASS")) {
    return has("SUPERUSER", "ADMIN", "ROOT", "ADMINISTRATOR") &&
        !has(...SERVICES)
      ? "administrator"
      : "service";
  }
  const isForeign = has(
    "CLIENT",
    "API",
    "STRIPE",
    "AWS",
    "OPENAI",
    "GITHUB",
    "GOOGLE",
    "TWILIO",
    "SENTRY",
    "S3",
  );
  if (
    has(
      "JWT",
      "SIGNING",
      "SIGN",
      "ENCRYPTION",
      "ENCRYPT",
      "FERNET",
      "HMAC",
      "SESSION",
      "COOKIE",
      "CSRF",
    )
  ) {
    return "signing";
  }
  if (isForeign) return "other";
  return has("SECRET", "SALT", "PEPPER") ? "signing" : "other";
}

const PLACEHOLDER =
  /^(x{3,}|\*{3,}|\.{3,}|-+|change[-_ ]?(me|this|it|in)|replace|your[-_ ]|my[-_ ]|insert|enter|put[-_ ]|todo|tbd|fixme|example|sample|dummy|fake|test|dev|local|none|null|default|secret|password|passwd|admin|root|postgres|guest|insecure|django-insecure|super[-_ ]?secret|<|\{\{|\$\{|foo|bar|not[-_ ])/i;
const PLACEHOLDER_PART =
  /change[-_ ]?(me|this|it|in[-_ ]prod)|your[-_]|replace[-_]?(me|this|with)|insecure|placeholder|do[-_ ]not[-_ ]use|not[-_ ]for[-_ ]production/i;

/** Whether a value stands in for a secret that somebody must set. */
export function isPlaceholder(value: string): boolean {
  return PLACEHOLDER.test(value) || PLACEHOLDER_PART.test(value);
}

/** Whether a value is the name of something (`access_token`, `X-Api-Key`) and no secret. */
export function isNameLike(value: string, name: string): boolean {
  if (/^x-[a-z-]+$/i.test(value)) return true;
  if (
    /[_-](token|key|id|cookie|name|header)$/i.test(value) && /^[a-z]+([_-][a-z]+)+$/i.test(value)
  ) {
    return !isPlaceholder(value);
  }
  return segments(value).join("_") === segments(name).join("_") && value !== name.toLowerCase();
}

const ADDRESS = /^[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:([^\s/@]+)@([^\s/:?#]*)/i;

/** The password and the host of an address that carries one: `postgres://app:hunter2@db/app`. */
export function credentialsIn(value: string): { password: string; host: string } | null {
  const found = ADDRESS.exec(value.slice(0, 2_000));
  const [, password = "", host = ""] = found ?? [];
  if (!found || /^(\$|\{|<|%|\*|x{3,})/i.test(password)) return null;
  return { password, host };
}

/** Whether a host is this machine or a name that only a compose network knows. */
export function isLocalHost(host: string): boolean {
  return /^(localhost|127\.|0\.0\.0\.0|\[?::1|host\.docker\.internal)/.test(host) ||
    !host.includes(".");
}
