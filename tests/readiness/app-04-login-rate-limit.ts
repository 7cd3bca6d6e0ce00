import type { Cases } from "../support/readiness-cases.ts";

const FASTAPI_LOGIN = `from fastapi import APIRouter
router = APIRouter(prefix="/auth")

@router.post("/login")
async def login(form: Login):
    return await check_password(form)
`;
const EXPRESS_APP = (before: string) =>
  `import express from "express";
import auth from "./routes/auth.ts";
${before}
app.use("/api/auth", auth);
`;
const EXPRESS_ROUTES = `import { Router } from "express";
const router = Router();
router.post("/login", async (req, res) => res.json(await check(req.body)));
export default router;
`;

export const cases: Cases = {
  rule: "APP-04",
  cases: {
    "a FastAPI login with nothing before it": {
      files: { "app/auth.py": FASTAPI_LOGIN },
      status: "fail",
      severity: "p1",
      at: ["app/auth.py:4"],
    },
    "slowapi's decorator limits it": {
      files: {
        "app/auth.py": `from fastapi import APIRouter, Request
from app.limits import limiter
router = APIRouter()

@router.post("/login/access-token")
@limiter.limit("5/minute")
def login(request: Request): ...
`,
        "app/limits.py": "from slowapi import Limiter\nlimiter = Limiter(key_func=address)\n",
      },
      status: "pass",
    },
    "a dependency of the router that it is included in limits it": {
      files: {
        "app/auth.py": FASTAPI_LOGIN,
        "app/main.py": `from fastapi import Depends, FastAPI
from fastapi_limiter.depends import RateLimiter
from app import auth
app = FastAPI()
app.include_router(auth.router, prefix="/api", dependencies=[Depends(RateLimiter(times=5))])
`,
      },
      status: "pass",
      says: /\/api\/auth\/login/,
    },
    "a middleware class that nobody adds is no limit": {
      files: {
        "app/auth.py": FASTAPI_LOGIN,
        "app/limits.py": `class RateLimitMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)
`,
      },
      status: "fail",
      at: ["app/auth.py:4"],
    },
    "the same class, added, is one": {
      files: {
        "app/auth.py": FASTAPI_LOGIN,
        "app/limits.py": `class RateLimitMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)
`,
        "app/main.py": `from fastapi import FastAPI
from app.limits import RateLimitMiddleware
app = FastAPI()
app.add_middleware(RateLimitMiddleware)
`,
      },
      status: "pass",
    },
    "a function that would add it and that nobody calls adds nothing": {
      files: {
        "app/auth.py": FASTAPI_LOGIN,
        "app/limits.py": `from slowapi.middleware import SlowAPIMiddleware
def protect(app):
    app.add_middleware(SlowAPIMiddleware)
limiter = Limiter(key_func=address, default_limits=["60/minute"])
`,
      },
      status: "fail",
    },
    "a switch that is off by default": {
      files: {
        "app/auth.py": FASTAPI_LOGIN,
        "app/config.py": `class Settings(BaseSettings):
    RATE_LIMIT_ENABLED: bool = False
`,
        "app/main.py": `from fastapi import FastAPI
from app.config import settings
from app.limits import RateLimitMiddleware
app = FastAPI()
if settings.RATE_LIMIT_ENABLED:
    app.add_middleware(RateLimitMiddleware)
`,
      },
      status: "fail",
      says: /off unless/,
    },
    "the handler asks a limiter of its own": {
      files: {
        "app/auth.py": `from fastapi import APIRouter
from app.guard import guard_login
router = APIRouter()
@router.post("/login")
async def login(form: Login):
    await guard_login(form.email)
`,
        "app/guard.py": `async def guard_login(email):
    if not await rate_limiter.hit(email):
        raise HTTPException(429)
`,
      },
      status: "pass",
    },
    "a Flask login without and a registration with": {
      files: {
        "app.py": `from flask import Flask
from flask_limiter import Limiter
app = Flask(__name__)
limiter = Limiter(key_func=address, app=app)

@app.route("/login", methods=["POST"])
def login(): ...

@app.route("/register", methods=["POST"])
@limiter.limit("3/hour")
def register(): ...
`,
      },
      status: "fail",
      at: ["app.py:6"],
    },
    "a Django view with a decorator": {
      files: {
        "shop/urls.py": `from django.urls import path
from shop import views
urlpatterns = [path("login/", views.login_view)]
`,
        "shop/views.py": `from django_ratelimit.decorators import ratelimit

@ratelimit(key="ip", rate="5/m")
def login_view(request): ...
`,
      },
      status: "pass",
    },
    "throttle rates that no class asks are no limit": {
      files: {
        "shop/urls.py": `from django.urls import path
from shop.views import LoginView
urlpatterns = [path("api/login/", LoginView.as_view())]
`,
        "shop/views.py": "class LoginView(APIView):\n    def post(self, request): ...\n",
        "shop/settings.py": 'REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"anon": "5/min"}}\n',
      },
      status: "fail",
    },
    "the token view of Django's REST framework, which sets no throttles": {
      files: {
        "shop/urls.py": `from django.urls import path
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework_simplejwt.views import TokenObtainPairView
urlpatterns = [
    path("api/keys/", obtain_auth_token),
    path("api/token/", TokenObtainPairView.as_view()),
]
`,
        "shop/settings.py":
          'REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"]}\n',
      },
      status: "fail",
      at: ["shop/urls.py:5"],
    },
    "an Express login with nothing before it": {
      files: {
        "api/app.ts": EXPRESS_APP("const app = express();"),
        "api/routes/auth.ts": EXPRESS_ROUTES,
      },
      status: "fail",
      at: ["api/routes/auth.ts:3"],
      says: /\/api\/auth\/login/,
    },
    "a limiter before the whole Express app": {
      files: {
        "api/app.ts": EXPRESS_APP(
          'import rateLimit from "express-rate-limit";\nconst app = express();\napp.use(rateLimit({ limit: 100 }));',
        ),
        "api/routes/auth.ts": EXPRESS_ROUTES,
      },
      status: "pass",
    },
    "a limiter that is made and never used": {
      files: {
        "api/app.ts": EXPRESS_APP(
          'import rateLimit from "express-rate-limit";\nconst app = express();\nexport const limiter = rateLimit({ limit: 100 });',
        ),
        "api/routes/auth.ts": EXPRESS_ROUTES,
      },
      status: "fail",
    },
    "a limiter before another path does not help this one": {
      files: {
        "api/app.ts": EXPRESS_APP(
          'import rateLimit from "express-rate-limit";\nconst app = express();\napp.use("/api/upload", rateLimit({ limit: 9 }));',
        ),
        "api/routes/auth.ts": EXPRESS_ROUTES,
      },
      status: "fail",
    },
    "routers that a list puts behind a limited path": {
      files: {
        "src/app.js": `const express = require("express");
const config = require("./config");
const { authLimiter } = require("./limits");
const routes = require("./routes");
const app = express();
if (config.env === "production") {
  app.use("/v1/auth", authLimiter);
}
app.use("/v1", routes);
`,
        "src/limits.js": `const rateLimit = require("express-rate-limit");
const authLimiter = rateLimit({ windowMs: 60000, max: 20, skipSuccessfulRequests: true });
module.exports = { authLimiter };
`,
        "src/routes/index.js": `const express = require("express");
const authRoute = require("./auth.route");
const router = express.Router();
const all = [{ path: "/auth", route: authRoute }];
all.forEach((one) => {
  router.use(one.path, one.route);
});
module.exports = router;
`,
        "src/routes/auth.route.js": `const express = require("express");
const router = express.Router();
router.post("/login", login);
module.exports = router;
`,
      },
      status: "pass",
      says: /\/v1\/auth\/login/,
    },
    "a schema whose name speaks of limits is no limiter": {
      files: {
        "app/auth.py": `from fastapi import APIRouter
from app.schemas import LoginWithRateLimit
router = APIRouter()
@router.post("/login")
def login(body: LoginWithRateLimit): ...
`,
        "app/schemas.py": "class LoginWithRateLimit(BaseModel):\n    email: str\n",
      },
      status: "fail",
    },
    "Fastify's plugin is before every route": {
      files: {
        "src/server.ts": `import Fastify from "fastify";
import rateLimit from "@fastify/rate-limit";
const app = Fastify();
await app.register(rateLimit, { max: 100 });
app.post("/login", async (request) => check(request.body));
`,
      },
      status: "pass",
    },
    "Fastify's plugin that is not global waits for the routes": {
      files: {
        "src/server.ts": `import Fastify from "fastify";
import rateLimit from "@fastify/rate-limit";
const app = Fastify();
await app.register(rateLimit, { global: false });
app.post("/login", async (request) => check(request.body));
app.post("/signup", { config: { rateLimit: { max: 3 } } }, async (request) => make(request.body));
`,
      },
      status: "fail",
      at: ["src/server.ts:5"],
    },
    "Nest's mark without the guard that reads it": {
      files: {
        "src/auth.controller.ts": `import { Controller, Post } from "@nestjs/common";
import { Throttle } from "@nestjs/throttler";
@Controller("auth")
export class AuthController {
  @Throttle({ default: { limit: 5, ttl: 60000 } })
  @Post("login")
  login() {}
}
`,
      },
      status: "fail",
    },
    "Nest's guard for the whole application": {
      files: {
        "src/auth.controller.ts": `import { Controller, Post } from "@nestjs/common";
@Controller("auth")
export class AuthController {
  @Post("login")
  login() {}
}
`,
        "src/app.module.ts": `import { APP_GUARD } from "@nestjs/core";
import { ThrottlerGuard, ThrottlerModule } from "@nestjs/throttler";
@Module({
  imports: [ThrottlerModule.forRoot([{ ttl: 60000, limit: 10 }])],
  providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
})
export class AppModule {}
`,
      },
      status: "pass",
    },
    "a Next route handler and a server action": {
      files: {
        "web/app/api/login/route.ts": `import { check } from "@/lib/auth";
export async function POST(request: Request) {
  return Response.json(await check(await request.json()));
}
`,
        "web/app/actions.ts": `"use server";
import { ratelimit } from "./limits.ts";
export async function signIn(form: FormData) {
  const { success } = await ratelimit.limit(String(form.get("email")));
}
`,
        "web/app/limits.ts": `import { Ratelimit } from "@upstash/ratelimit";
export const ratelimit = new Ratelimit({ redis, limiter: Ratelimit.slidingWindow(5, "60 s") });
`,
      },
      status: "fail",
      at: ["web/app/api/login/route.ts:2"],
    },
    "NextAuth's own passwords are a login": {
      files: {
        "web/auth.ts": `import CredentialsProvider from "next-auth/providers/credentials";
export const options = {
  providers: [CredentialsProvider({ async authorize(credentials) { return compare(credentials); } })],
};
`,
        "web/app/api/auth/[...nextauth]/route.ts":
          'import NextAuth from "next-auth";\nconst handler = NextAuth(options);\nexport { handler as GET, handler as POST };\n',
      },
      status: "fail",
      at: ["web/auth.ts:3"],
    },
    "a provider takes the passwords": {
      files: {
        "web/app/actions.ts": `"use server";
import { createClient } from "@supabase/supabase-js";
export async function login(form: FormData) {
  return await client.auth.signInWithPassword({ email: form.get("email") });
}
`,
      },
      status: "not-applicable",
      says: /identity provider/,
    },
    "logging out and devices that register are no logins": {
      files: {
        "app/auth.py": `from fastapi import APIRouter
router = APIRouter()
@router.post("/logout")
def logout(): ...
@router.post("/devices/register")
def register(): ...
@router.post("/orders/{id}/token")
def token(): ...
`,
      },
      status: "not-applicable",
    },
    "no back end": { files: { "README.md": "# Notes\n" }, status: "not-applicable" },
  },
};
