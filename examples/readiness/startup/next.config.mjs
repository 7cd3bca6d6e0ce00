/** @type {import("next").NextConfig} */
const config = {
  async headers() {
    return [{
      source: "/(.*)",
      headers: [
        { key: "Content-Security-Policy", value: "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'" },
        { key: "X-Frame-Options", value: "DENY" },
      ],
    }];
  },
};

export default config;
