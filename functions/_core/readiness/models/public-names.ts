import { isPublicSecretName } from "../../lint/names.ts";

/** Prefixes with which a bundler copies a variable into the code that browsers get. */
export const PUBLIC_NAME =
  /(?<![A-Za-z0-9_])(?:NEXT_PUBLIC_|VITE_|REACT_APP_|EXPO_PUBLIC_|NUXT_PUBLIC_|GATSBY_|VUE_APP_|PUBLIC_(?=[A-Z]))[A-Z0-9_]{2,100}/g;
const PREFIX =
  /^(NEXT_PUBLIC_|VITE_|REACT_APP_|EXPO_PUBLIC_|NUXT_PUBLIC_|GATSBY_|VUE_APP_|PUBLIC_)/;
/** What services hand out for browsers to have, and names of things that are no secret. */
const HARMLESS =
  /ANON|PUBLISHABLE|PUBLIC|SITE_?KEY|CLIENT_(ID|TOKEN|KEY)|CLIENT_SIDE|MAPBOX|MAPTILER|CESIUM|POSTHOG|SENTRY_DSN|SEGMENT|AMPLITUDE|MIXPANEL|PUSHER|ALGOLIA_SEARCH|SEARCH_(ONLY_)?(API_)?KEY|TURNSTILE|RECAPTCHA|HCAPTCHA|VAPID|FIREBASE|WIDGET|BOT_NAME|DATADOG|LAUNCHDARKLY|GROWTHBOOK|STATSIG|CSRF|DESIGN_TOKEN/;

/**
 * How surely a variable that browsers get is a secret by its name: null for one that may be public.
 *
 * @example
 * publicSecret("NEXT_PUBLIC_JWT_SECRET"); // "certain"
 */
export function publicSecret(name: string): "certain" | "likely" | null {
  if (isPublicSecretName(name)) return "certain";
  const rest = name.replace(PREFIX, "");
  if (HARMLESS.test(rest)) return null;
  if (
    /(^|_)(SECRET(_KEY|S)?|SERVICE_ROLE(_KEY)?|PRIVATE_KEY|PASSWORD|PASSWD|PASSPHRASE|ENCRYPTION_KEY|SIGNING_KEY)$/
      .test(rest)
  ) {
    return "certain";
  }
  const isKey = /(^|_)(API_?KEY|ACCESS_?KEY|TOKEN|API_?TOKEN)$/.test(rest);
  if (isKey && SERVICES.test(rest)) return "certain";
  return /(^|_)((API|ACCESS|AUTH|REFRESH|BEARER|ADMIN|WRITE|READ|BOT|JWT)_TOKEN|ADMIN_KEY)$/.test(
      rest,
    )
    ? "likely"
    : null;
}

/** Services whose keys cost money or open data: none is made for a browser. */
const SERVICES =
  /^(OPEN_?AI|ANTHROPIC|CLAUDE|GEMINI|GROQ|MISTRAL|COHERE|REPLICATE|HUGGING_?FACE|HF|RESEND|SENDGRID|MAILGUN|POSTMARK|TWILIO|STRIPE_(API|SECRET)|GITHUB|GITLAB|SLACK|NOTION|AIRTABLE|AWS|CLOUDFLARE|VERCEL|UPSTASH|PINECONE|DEEPSEEK|ELEVENLABS)_/;
