import type { Cases } from "../support/readiness-cases.ts";

const LOGIN = `from fastapi import APIRouter
from app.users import authenticate
router = APIRouter()

@router.post("/login")
async def login(form: Login):
    return await authenticate(form)
`;

export const cases: Cases = {
  rule: "APP-06",
  cases: {
    "a login that only compares passwords": {
      files: {
        "app/auth.py": LOGIN,
        "app/users.py": "async def authenticate(form):\n    return verify(form.password)\n",
      },
      status: "fail",
      severity: "p1",
      at: ["app/auth.py:5"],
    },
    "failures are counted two functions below": {
      files: {
        "app/auth.py": LOGIN,
        "app/users.py": `async def authenticate(form):
    user = await find(form.email)
    if user.locked_until and user.locked_until > now():
        raise Locked()
    if not verify(form.password):
        user.failed_login_attempts += 1
`,
      },
      status: "pass",
    },
    "columns that no login reads": {
      files: {
        "app/auth.py": LOGIN,
        "app/models.py": "class User(Base):\n    failed_login_attempts = Column(Integer)\n",
        "app/users.py": "async def authenticate(form):\n    return verify(form.password)\n",
      },
      status: "fail",
    },
    "an Express controller that locks": {
      files: {
        "src/routes.ts": `import { Router } from "express";
import { login } from "./auth.service.ts";
const router = Router();
router.post("/login", login);
export default router;
`,
        "src/auth.service.ts": `export const login = async (req, res) => {
  const user = await users.byEmail(req.body.email);
  if (user.lockUntil > Date.now()) return res.status(423).end();
  await users.recordFailedAttempt(user.id);
};
`,
      },
      status: "pass",
    },
    "an Express controller that does not": {
      files: {
        "src/routes.ts": `import { Router } from "express";
const router = Router();
router.post("/login", async (req, res) => res.json(await compare(req.body.password)));
export default router;
`,
      },
      status: "fail",
      at: ["src/routes.ts:3"],
    },
    "django-axes counts": {
      files: {
        "shop/urls.py":
          'from django.urls import path\nfrom shop import views\nurlpatterns = [path("login/", views.sign_in)]\n',
        "shop/views.py": "def sign_in(request): ...\n",
        "shop/settings.py":
          'INSTALLED_APPS = ["axes"]\nMIDDLEWARE = ["axes.middleware.AxesMiddleware"]\n',
      },
      status: "pass",
    },
    "the provider counts": {
      files: {
        "web/app/actions.ts": `"use server";
import { signIn } from "@clerk/nextjs";
export async function startTrial() {}
`,
      },
      status: "not-applicable",
    },
  },
};
