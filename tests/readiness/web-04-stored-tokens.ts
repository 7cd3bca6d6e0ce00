import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "WEB-04",
  cases: {
    "a token by its key, by a constant and by its value": {
      files: {
        "a.ts":
          'const KEY = "access_token";\nlocalStorage.setItem("token", data.x);\nwindow.localStorage.setItem(KEY, x);\nsessionStorage.setItem("k", response.accessToken);\nlocalStorage.jwt = x;\n',
      },
      status: "fail",
      severity: "p1",
      at: ["a.ts:2", "a.ts:3", "a.ts:4", "a.ts:5"],
    },
    "a store that is persisted": {
      files: {
        "store.ts":
          'import { persist } from "zustand/middleware";\nexport const s = create(persist((set) => ({ accessToken: null }), { name: "auth" }));',
      },
      status: "fail",
    },
    "what people like, and tokens of other kinds": {
      files: {
        "a.ts":
          'localStorage.setItem("theme", theme); localStorage.setItem("fcm_token", t); localStorage.setItem("maxTokens", n); localStorage.removeItem("token");',
      },
      status: "pass",
    },
    "nothing is written": {
      files: { "a.ts": "localStorage.getItem('token')" },
      status: "not-applicable",
    },
  },
};
