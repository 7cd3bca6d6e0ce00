import type { Cases } from "../support/readiness-cases.ts";

export const cases: Cases = {
  rule: "DB-05",
  cases: {
    "a variable of the module": {
      files: {
        "app/tenant.py": `current_tenant = None
def set_tenant(value):
    global current_tenant
    current_tenant = value
`,
      },
      status: "fail",
      severity: "p1",
      at: ["app/tenant.py:3"],
    },
    "a thread's locals below async handlers": {
      files: {
        "app/tenant.py":
          "import threading\n_state = threading.local()\ndef set_org(o):\n    _state.organization_id = o\n",
        "app/main.py": "async def home(): ...\n",
      },
      status: "fail",
      at: ["app/tenant.py:2"],
    },
    "a ContextVar that is set and reset": {
      files: {
        "app/tenant.py": `from contextvars import ContextVar
tenant_id: ContextVar[str | None] = ContextVar("tenant_id", default=None)
async def middleware(request, call_next):
    token = tenant_id.set(request.state.tenant)
    try:
        return await call_next(request)
    finally:
        tenant_id.reset(token)
`,
      },
      status: "pass",
      at: [],
    },
    "a ContextVar that nothing resets": {
      files: {
        "app/tenant.py":
          'from contextvars import ContextVar\norg = ContextVar("organization_id")\ndef use(o):\n    org.set(o)\n',
      },
      status: "warn",
      severity: "p2",
    },
    "a thread's locals and globals that hold no tenant": {
      files: {
        "app/a.py":
          "import threading\ncache = threading.local()\ndef get():\n    cache.client = 1\nengine = None\ndef start():\n    global engine\n    engine = 1\n",
      },
      status: "not-applicable",
    },
    "Node, both ways": {
      files: {
        "server/a.ts":
          'import { AsyncLocalStorage } from "node:async_hooks";\nexport const tenants = new AsyncLocalStorage();\n',
        "server/b.ts":
          "let currentTenantId = null;\nexport function set(id) { currentTenantId = id; }\n",
      },
      status: "fail",
      at: ["server/b.ts:1"],
    },
  },
};
