import type { Repository } from "../repository.ts";
import { code, type CodeFile } from "./code.ts";
import { last, literal, type Names, names, option, walk } from "./names.ts";
import { type Route, routes } from "./routes.ts";

/** What a route that takes credentials is for. */
export type Purpose = "login" | "register" | "reset" | "code";

/** A route that somebody who guesses passwords, codes or addresses would hammer. */
export type Login = { route: Route; purpose: Purpose };

const PURPOSES: [Purpose, RegExp][] = [
  [
    "reset",
    /^(forgot|forget|reset|recover|recovery|change)[-_]?(my)?[-_]?(password|pass|pwd)?$|^password[-_]?(reset|recovery|forgot(ten)?)$|^(forgotpassword|resetpassword|passwordreset|request[-_]?password[-_]?reset)$/i,
  ],
  [
    "code",
    /^(verify[-_]?)?(otp|2fa|mfa|totp|magic[-_]?link|one[-_]?time[-_]?(code|password))([-_]?(verify|login|request|send|code))?$|^(send|request|verify)[-_]?(otp|code|magic[-_]?link|2fa|mfa)$|^verify(otp|code)$/i,
  ],
  [
    "register",
    /^(register|registration|sign[-_]?up|create[-_]?account)([-_]?(user|with[-_]?email))?$/i,
  ],
  [
    "login",
    /^(log[-_]?in|sign[-_]?in|authenticate|access[-_]?token|obtain[-_]?token)([-_]?(user|with[-_]?(email|password|credentials)|access[-_]?token|email))?$/i,
  ],
];
/** Somebody else asks for the password there. */
const ELSEWHERE =
  /oauth|sso|saml|oidc|callback|google|github|microsoft|facebook|apple|discord|twitter|linkedin|logout|webhook|device|push/i;
const PROVIDERS =
  /(^|\.)auth\.(signInWith\w+|signUp|resetPasswordForEmail|verifyOtp|sign_in_with_\w+|sign_up|reset_password_\w+|verify_otp)$|(^|\.)(initiateAuth|signInWithRedirect)$|\b(cognito|keycloak|auth0|workos|clerk|descope|supertokens)\w*(\.\w+)+$/i;
const PROVIDER_PACKAGES =
  /^(firebase|@firebase|aws-amplify|@aws-amplify|@clerk|@auth0|@workos-inc|stytch|descope)\b/;

function isProvider(all: Names, file: CodeFile, callee: string): boolean {
  return PROVIDERS.test(callee) || PROVIDER_PACKAGES.test(all.calls(file, callee));
}

/**
 * The routes that take credentials and check them here. Those that hand them to an identity provider are left out:
 * the provider counts attempts.
 *
 * @example
 * for (const { route, purpose } of logins(repository)) …
 */
export function logins(repository: Repository): Login[] {
  return repository.once("logins", () => {
    const found: Login[] = [];
    for (const route of routes(repository).routes) {
      const purpose = purposeOf(route) ?? viewOf(route) ?? sessionOf(repository, route);
      if (purpose !== null && !isDelegated(repository, route)) found.push({ route, purpose });
    }
    return [...found, ...packaged(repository)];
  });
}

function purposeOf(route: Route): Purpose | null {
  const takes = route.methods.some((one) => one === "POST" || one === "ANY" || one === "PUT");
  if (!takes || ELSEWHERE.test(route.path)) return null;
  const segments = route.path.split("/").filter((one) => one !== "" && !/^[{<:[(]/.test(one));
  const end = segments.slice(-3);
  for (const [purpose, words] of PURPOSES) {
    const named = route.kind === "action"
      ? words.test(dashed(segments[0] ?? ""))
      : end.some((one) => words.test(one));
    if (!named) continue;
    const before = segments.at(-2) ?? "";
    const isOther = purpose === "register" && segments.length > 1 &&
      !/^(auth\w*|users?|accounts?|api|v\d+|identity|register|me)$/i.test(before);
    if (!isOther) return purpose;
  }
  const tail = end.at(-1) ?? "";
  const isToken = /^tokens?$/i.test(tail) && (segments.length === 1 ||
    segments.some((one) => /^(auth\w*|oauth2?|login|jwt|security)$/i.test(one)));
  return isToken && !/refresh/.test(route.handler?.name ?? "") ? "login" : null;
}

/** A view that a package brings for logins, whatever its path is called. */
function viewOf(route: Route): Purpose | null {
  if (route.kind !== "generated") return null;
  const names = route.guards.flatMap(({ value }) =>
    value.kind === "name" ? [last(value.name)] : []
  );
  if (
    names.some((one) =>
      /^(obtain_auth_token|ObtainAuthToken|TokenObtain\w*View|LoginView)$/.test(one)
    )
  ) {
    return "login";
  }
  return names.some((one) => /^PasswordReset(View|ConfirmView)$/.test(one)) ? "reset" : null;
}

/** `POST /sessions` is a login where its handler looks at a password. */
function sessionOf(repository: Repository, route: Route): Purpose | null {
  const isSession = route.methods.includes("POST") && /\/sessions?\/?$/.test(route.path);
  if (!isSession || !route.handler) return null;
  const start = { file: route.handlerFile, fn: route.handler };
  const looks = names(repository).reach(start, 1).some(({ fn }) =>
    fn.calls.some(({ callee }) => /password|authenticate|bcrypt|argon|verify_?pass/i.test(callee))
  );
  return looks ? "login" : null;
}

function dashed(name: string): string {
  return name.replace(/Action$/, "").replace(/([a-z])([A-Z])/g, "$1-$2");
}

/** Whether the handler hands the credentials on. */
function isDelegated(repository: Repository, route: Route): boolean {
  if (!route.handler) return false;
  const start = { file: route.handlerFile, fn: route.handler };
  const all = names(repository);
  return all.reach(start, 2).some(({ file, fn }) =>
    fn.calls.some((call) => isProvider(all, file, call.callee))
  );
}

/** Logins that a package brings: NextAuth's credentials, better-auth's passwords. */
function packaged(repository: Repository): Login[] {
  const all = names(repository);
  return code(repository).flatMap((file) =>
    file.calls.flatMap((call): Login[] => {
      const origin = all.calls(file, call.callee);
      const isCredentials = /(^|\/)providers\/credentials(\.\w+)?$/.test(origin) ||
        /^(CredentialsProvider|CredentialProvider)$/.test(call.callee);
      if (isCredentials) {
        const authorize = option(call, "authorize");
        const fn = authorize?.kind === "function" ? authorize.fn : null;
        return [made(file, call.line, "/api/auth/callback/credentials", fn)];
      }
      if (/(^|\.)betterAuth$/.test(origin)) {
        const passwords = option(call, "emailAndPassword");
        const isOn = passwords?.kind === "map" && passwords.entries.some((one) =>
          one.key === "enabled" && one.value.kind === "flag" && one.value.value
        );
        return isOn ? [made(file, call.line, "/api/auth/sign-in/email", null)] : [];
      }
      return [];
    })
  );
}

function made(file: CodeFile, line: number, path: string, handler: Route["handler"]): Login {
  const route: Route = {
    methods: ["POST"],
    path,
    file,
    line: handler?.line ?? line,
    handler,
    handlerFile: file,
    guards: [],
    kind: "generated",
    isWhole: true,
  };
  return { route, purpose: "login" };
}

/** Who asks for passwords instead: an identity provider that the code uses, with the place. */
export function provider(
  repository: Repository,
): { name: string; file: CodeFile; line: number } | null {
  for (const file of code(repository)) {
    for (const { module, line } of file.imports) {
      const name = IDENTITY.exec(module)?.[0];
      if (name) return { name, file, line };
    }
    for (const call of file.calls) {
      if (isProvider(names(repository), file, call.callee)) {
        return { name: last(call.callee), file, line: call.line };
      }
    }
  }
  return null;
}

const IDENTITY =
  /^(@clerk\/[\w-]+|@auth0\/[\w-]+|auth0|@workos-inc\/[\w-]+|workos|@supabase\/(ssr|auth-helpers[\w-]*|supabase-js)|supabase|next-auth|@auth\/\w+|firebase\/auth|firebase_admin|fastapi_cloudauth|@descope\/[\w-]+|@kinde-oss\/[\w-]+|keycloak[\w-]*|passport-(google|github|auth0|saml)[\w-]*|authlib\.integrations[\w.]*|msal|@azure\/msal-\w+|amazon-cognito-identity-js|stytch|mozilla_django_oidc|social_django)/;

/** Strings of Django's lists: INSTALLED_APPS, MIDDLEWARE, AUTHENTICATION_BACKENDS. */
export function djangoLists(
  repository: Repository,
): { list: string; value: string; file: CodeFile; line: number }[] {
  return repository.once(
    "django-lists",
    () =>
      code(repository).flatMap((file) =>
        file.statements.flatMap((one) => {
          const list = one.target ?? "";
          if (one.kind !== "assign" || one.fn !== null) return [];
          if (!/^([A-Z_]*_)?(INSTALLED_APPS|APPS|MIDDLEWARE|AUTHENTICATION_BACKENDS)$/.test(list)) {
            return [];
          }
          return [...walk(one.value)].flatMap((item) => {
            const value = literal(item);
            return value === null ? [] : [{ list, value, file, line: item.line }];
          });
        })
      ),
  );
}
