import { segments } from "../segments.ts";
import { last } from "./names.ts";

/** The words of a name, lower-case: `resetToken`, `RESET_TOKEN` and `reset-token` are `reset`, `token`. */
export function words(name: string): string[] {
  return segments(last(name)).map((one) => one.toLowerCase());
}

const SECRET = new Set([
  ...["password", "passwd", "pwd", "passphrase", "secret", "token", "apikey", "jwt", "otp"],
  ...["authorization", "credential", "credentials", "cookie", "cookies", "passcode", "totp"],
]);
const SECRET_PAIRS =
  /(^|_)(api_key|private_key|access_key|secret_key|signing_key|encryption_key|connection_string|database_url|db_url|((reset|magic|verification|verify|confirmation|activation|invite|invitation|login|signin)_(link|url)))$/;
/** What is about a secret and is none. */
const ABOUT_LAST = new Set([
  ...["count", "counts", "url", "uri", "endpoint", "type", "id", "ids", "name", "names", "length"],
  ...[
    "len",
    "expiry",
    "expires",
    "expiration",
    "ttl",
    "limit",
    "limits",
    "used",
    "usage",
    "budget",
  ],
  ...["hash", "hashed", "valid", "status", "field", "prefix", "path", "file", "error", "exists"],
  ...["required", "policy", "strength", "present", "set", "at", "in", "age", "cost", "price"],
  ...["service", "manager", "provider", "response", "data", "info", "version", "index", "symbol"],
]);
const ABOUT_FIRST = new Set([
  ...["is", "has", "max", "min", "num", "total", "prompt", "completion", "input", "output", "use"],
  ...["n", "no", "with", "should", "can", "hashed", "masked", "redacted", "hash", "missing"],
  ...["cached", "valid", "invalid", "expired", "encrypted", "csrf", "next", "eos", "bos", "pad"],
]);

/** Whether a name is a secret's: `reset_token` is, `token_count`, `max_token` and `has_password` are not. */
export function isSecretName(name: string): boolean {
  const parts = words(name);
  const [first, end] = [parts[0] ?? "", parts.at(-1) ?? ""];
  if (ABOUT_FIRST.has(first) && parts.length > 1) return false;
  if (SECRET_PAIRS.test(parts.join("_"))) return true;
  return SECRET.has(end) && !ABOUT_LAST.has(end);
}

const PERSONAL =
  /(^|_)(emails?|email_address|phone|phone_numbers?|mobile|mobile_number|full_name|first_name|last_name|surname|ssn|social_security(_number)?|dob|date_of_birth|birth_?date|birthday|(home|street|postal|billing|shipping|mailing)_address|passport(_number)?|iban|card_number|national_id|tax_id)$/;

/** Whether a name is a person's data: `user.email` is, `email_count` and `is_mobile` are not. */
export function isPersonalName(name: string): boolean {
  const parts = words(name);
  if (ABOUT_FIRST.has(parts[0] ?? "") && parts.length > 1) return false;
  if (/^(send|render|build|validate|verify|format|create|get)$/.test(parts[0] ?? "")) return false;
  return PERSONAL.test(parts.join("_")) && !/(^|\.)(settings|config|env|process)\./i.test(name);
}

/** Whether a name is a person or what a request carried, whole. */
export function isWholePerson(name: string): boolean {
  return /(^|\.)(req|request|ctx\.request)\.(body|form|data|POST)$/.test(name) ||
    /^(user|currentUser|current_user|dbUser|newUser|new_user|db_user|customer|patient)$/.test(
      name,
    ) ||
    /^(session|req|request|ctx|locals|auth)(\.\w+)?\.user$/.test(name);
}
