import { lineAt } from "../../lines.ts";
import { findSecrets } from "../../lint/secrets.ts";
import { redact } from "../redact.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { credentialsIn, isLocalHost, isPlaceholder } from "../secret-names.ts";

/** Files that machines write: their hashes look like tokens, and nobody types a token there. */
const MACHINE =
  /(^|\/)(package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|deno\.lock|uv\.lock|poetry\.lock|Pipfile\.lock|Cargo\.lock|go\.sum|composer\.lock|Gemfile\.lock)$|\.(map|svg|lock|min\.js|min\.css|snap|ipynb)$/i;
/** Prefixes of services beside those of the preset. */
const TOKENS: readonly [string, RegExp][] = [
  ["stripe", /\b[rs]k_live_[A-Za-z0-9]{20,}/g],
  ["stripe webhook", /\bwhsec_[A-Za-z0-9+/]{32,}/g],
  ["supabase access", /\bsbp_[0-9a-f]{40}\b/g],
  ["pypi", /\bpypi-AgEI[A-Za-z0-9_-]{50,}/g],
  ["digitalocean", /\bdo[opr]_v1_[0-9a-f]{64}\b/g],
  ["telegram", /\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b/g],
  ["sentry", /\bsntry[su]_[A-Za-z0-9+/=_-]{40,}/g],
  ["doppler", /\bdp\.(?:st|pt|ct|sa)\.[A-Za-z0-9._-]{40,}/g],
];
const ADDRESS = /^(database-connection-string|basicauth)$/;
/** More bytes than a repository's own text has. */
const MOST_TEXT = 100_000_000;

/** A token of a service works for whoever reads it, from anywhere, until somebody takes it back. */
export const committedTokens: Rule = {
  id: "SEC-05",
  name: "committed-tokens",
  area: "secrets",
  severity: "p0",
  confidence: "high",
  section: 1,
  title: "No token, private key or service key is written in a file",
  remedy: "revoke the token where it was made, then take it out, and read it from the environment",
  async check(repository) {
    const evidence: Evidence[] = [];
    let [looked, room] = [0, MOST_TEXT];
    for (const file of repository.files) {
      const { text, path, context, isTracked } = file;
      if (text === null || context === "vendored" || isTracked === false || MACHINE.test(path)) {
        continue;
      }
      if (text.length > room) continue;
      room -= text.length;
      looked++;
      evidence.push(...await tokensOf(repository, file, text));
    }
    if (looked > 0 && evidence.length === 0) {
      const [first] = repository.files;
      evidence.push({
        kind: "strength",
        file: first?.path ?? ".",
        line: null,
        message: `${looked} files hold no token of a known service`,
      });
    }
    return conclude(evidence, { status: "unknown", summary: "there is no text to look at" });
  },
};

async function tokensOf(
  repository: Repository,
  { path: file, context }: RepositoryFile,
  text: string,
): Promise<Evidence[]> {
  const spans: { kind: string; start: number; end: number }[] = [];
  for (const { kind, start, end, isLocalDemo } of findSecrets(text)) {
    if (!isLocalDemo) spans.push({ kind: `Supabase ${kind}`, start, end });
  }
  for (const [kind, pattern] of TOKENS) {
    for (const { 0: token, index } of text.matchAll(pattern)) {
      spans.push({ kind: `${kind} token`, start: index, end: index + token.length });
    }
  }
  for (const { kind, start, end } of await repository.parsers.tokens(file, text)) {
    const shown = kind === "privatekey"
      ? "private key"
      : ADDRESS.test(kind)
      ? kind
      : `${kind} token`;
    if (!spans.some((one) => start < one.end && end > one.start)) {
      spans.push({ kind: shown, start, end });
    }
  }
  const found: Evidence[] = [];
  for (const { kind, start, end } of spans) {
    const value = text.slice(start, end);
    const isAddress = ADDRESS.test(kind);
    if (isAddress ? !isRemote(value) : isMadeUp(value)) continue;
    const line = lineAt(text, start);
    if (found.some((one) => one.line === line)) continue;
    // Nobody can tell a test's made-up token from a real one by its form.
    const isExample = context === "test" || context === "docs" ||
      /\.(example|sample|template)$/.test(file);
    found.push({
      kind: isExample ? "weakness" : "gap",
      ...(isExample ? { severity: "p2" as const } : {}),
      file,
      line,
      message: `${
        isAddress ? "an address with its password" : `a ${kind}`
      } is written out (${await redact(value)})`,
    });
  }
  return found;
}

/** An address whose password opens something beyond this machine. */
function isRemote(value: string): boolean {
  const credentials = credentialsIn(value.replace(/^["'\s]+/, ""));
  if (!credentials) return false;
  const { password, host } = credentials;
  return host.includes(".") && !isLocalHost(host) &&
    !/(^|\.)(example|test|invalid|local)(\.|$)|^\d+\.0\.0\.\d+$/.test(host) &&
    password.length >= 6 && !isPlaceholder(password) &&
    !/^(pass|pwd|user|secret|\w{0,3}[*x.]{3})/i.test(password) &&
    !/[${}<>%]/.test(password + host);
}

/** `ghp_xxxxxxxx…`, `sk_live_your_key`: the form of a token and nothing in it. */
function isMadeUp(value: string): boolean {
  return new Set(value.slice(-24)).size < 7 ||
    /example|your[-_]|placeholder|dummy|change[-_]?me|fake|redacted|0123456789|abcdefghij|1234567890/i
      .test(value);
}
