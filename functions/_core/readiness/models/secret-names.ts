import { segments } from "../segments.ts";

const SECRET = new Set(
  "SECRET SECRETS PASSWORD PASSWORDS PASSWD PASSPHRASE PWD PASS TOKEN KEY APIKEY CREDENTIAL CREDENTIALS SALT JWT"
    .split(" "),
);
/** With one of these, a name speaks about a secret, or is public by design. */
const NOT = new Set(
  ("PUBLIC PUBLISHABLE ANON FILE PATH DIR URL URI HOST PORT NAME ID USER USERNAME HEADER PREFIX SUFFIX TTL EXPIRE EXPIRES " +
    "EXPIRY EXPIRATION EXP LIFETIME MINUTES SECONDS HOURS DAYS TIMEOUT ALGORITHM ALG LENGTH SIZE MIN MAX COUNT LIMIT " +
    "LIMITS ENABLED ENABLE DISABLED REQUIRE REQUIRED ISSUER AUDIENCE TYPE VERSION COOKIE HASHER HASHERS POLICY FIELD " +
    "PATTERN REGEX LOCATION ROTATION REUSE STRENGTH SITE APP WINDOW STORE BACKEND CLASS ATTRIBUTE LEEWAY SCOPE " +
    "BUDGET MODEL TOKENS").split(" "),
);

/**
 * Whether a name is that of a secret, of an environment variable or a build argument.
 *
 * @example
 * isSecretName("POSTGRES_PASSWORD"); // true
 * isSecretName("POSTGRES_PASSWORD_FILE"); // false
 */
export function isSecretName(name: string): boolean {
  const all = segments(name);
  if (/^(NEXT_PUBLIC|VITE|REACT_APP|NUXT_PUBLIC|PUBLIC|EXPO_PUBLIC|GATSBY)_/i.test(name)) {
    return false;
  }
  if (!all.some((one) => SECRET.has(one))) return false;
  // A key that a document publishes is none; one that signs, encrypts or is of an API is.
  if (all.includes("APP") && all.includes("KEY")) return all.includes("SECRET");
  return !all.some((one) => NOT.has(one));
}

/** Values that nobody takes for a secret: what a person is to replace, what a test or a build needs to start. */
export function isPlaceholder(value: string): boolean {
  return /^(change[-_ ]?(this|me|it).*|replace[-_ ]?(this|me).*|your[-_ ].*|<.*>|x{3,}|\*{3,}|\.{3}|example.*|placeholder.*|dummy.*|fake.*|todo.*|none|null|undefined|not[-_ ]?(set|used|needed|a[-_ ]real).*|build[-_ ]?(time|only)?.*|unused|ci[-_].*|test(ing)?([-_].*)?)$/i
    .test(value);
}

/** Whether a value is a switch, a number of few digits, a path or a reference rather than a secret. */
export function isPlain(value: string): boolean {
  return /^(true|false|yes|no|on|off|\d{1,4}|HS\d+|RS\d+|ES\d+|\/[\w./-]*)$/i.test(value);
}
