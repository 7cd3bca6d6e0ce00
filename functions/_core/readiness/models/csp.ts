/** A policy as a browser reads it: directive to its sources, the first of a name counts. */
export function directivesOf(policy: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const one of policy.split(";")) {
    const [name = "", ...sources] = one.trim().split(/\s+/);
    if (name !== "" && !found.has(name.toLowerCase())) found.set(name.toLowerCase(), sources);
  }
  return found;
}

/** Whether 'unsafe-inline' means nothing, because a nonce, a hash or 'strict-dynamic' stands beside it. */
export function isInlineHeld(sources: readonly string[]): boolean {
  return sources.some((one) => /^'(nonce-|sha(256|384|512)-|strict-dynamic')/.test(one));
}
