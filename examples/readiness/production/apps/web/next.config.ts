import type { NextConfig } from "next";

const isDevelopment = process.env.NODE_ENV === "development";
const policy = [
  "default-src 'self'",
  isDevelopment ? "script-src 'self' 'unsafe-eval'" : "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "frame-ancestors 'none'",
  `connect-src 'self' ${process.env.NEXT_PUBLIC_SUPABASE_URL}`,
].join("; ");

const config: NextConfig = {
  async headers() {
    return [{
      source: "/(.*)",
      headers: [
        { key: "Content-Security-Policy", value: policy },
        { key: "Strict-Transport-Security", value: "max-age=63072000; includeSubDomains" },
        { key: "X-Content-Type-Options", value: "nosniff" },
        { key: "Referrer-Policy", value: "strict-origin-when-cross-origin" },
      ],
    }];
  },
};

export default config;
