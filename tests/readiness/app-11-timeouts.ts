import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "APP-11",
  cases: {
    "requests waits for ever": {
      files: { "app/pay.py": "import requests\nrequests.post(url, json=body)\n" },
      status: "fail",
      severity: "p2",
      at: ["app/pay.py:2"],
    },
    "requests with a timeout": {
      files: { "app/pay.py": "import requests\nrequests.post(url, json=body, timeout=10)\n" },
      status: "pass",
    },
    "httpx has one by itself": {
      files: { "app/pay.py": "import httpx\nclient = httpx.AsyncClient()\n" },
      status: "pass",
    },
    "httpx told to wait": {
      files: { "app/pay.py": "import httpx\nclient = httpx.AsyncClient(timeout=None)\n" },
      status: "fail",
    },
    "axios waits for ever": {
      files: { "src/pay.ts": 'import axios from "axios";\nawait axios.post(url, body);\n' },
      status: "fail",
      at: ["src/pay.ts:2"],
    },
    "axios with a timeout for all": {
      files: {
        "src/pay.ts":
          'import axios from "axios";\nexport const client = axios.create({ baseURL, timeout: 5000 });\n',
      },
      status: "pass",
    },
    "fetch with a signal": {
      files: { "src/pay.ts": "await fetch(url, { signal: AbortSignal.timeout(5000) });\n" },
      status: "pass",
    },
    "a test's own client named requests": {
      files: { "app/a.py": "requests = []\nrequests.append(1)\n" },
      status: "not-applicable",
    },
    "asks nobody": { files: { "src/a.ts": "export {};\n" }, status: "not-applicable" },
  },
};
