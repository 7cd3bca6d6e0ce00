/** Variables that hold a secret, by name; whatever they hold never reaches a terminal. */
const SECRET_NAME =
  /SECRET|TOKEN|PASSWORD|KEK|PRIVATE_KEY|API_KEY|ACCESS_KEY|SERVICE_ROLE|WEBHOOK|CREDENTIALS/i;

/**
 * The last defence of every message that leaves a command: passwords inside connection strings, Slack webhook
 * paths and the values of secret variables are replaced.
 *
 * @example
 * redact("cannot connect to postgresql://me:hunter2@db/app", {});
 * // "cannot connect to postgresql://me:***@db/app"
 */
export function redact(text: string, env: Readonly<Record<string, string | undefined>>): string {
  let safe = text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):(?!password@)[^\s@]+@/gi, "$1:***@")
    .replace(/(password=)[^\s&]+/gi, "$1***")
    .replace(/(hooks\.slack\.com\/services)\/[^\s"']+/gi, "$1/***");
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value.length < 8 || !SECRET_NAME.test(name)) continue;
    safe = safe.split(value).join(`[${name}]`);
  }
  return safe;
}
