import { callsIn, scripts } from "../models/scripts.ts";
import { dependsOn, webManifests } from "../models/web.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const LIBRARY =
  /^(next-auth|@auth\/.+|@supabase\/(ssr|auth-helpers-nextjs)|@clerk\/nextjs|better-auth|iron-session|lucia|@workos-inc\/authkit-nextjs|@kinde-oss\/.+|@auth0\/nextjs-auth0|jose)$/;
const CHECK =
  /(^|\.)(auth|getServerSession|getUser|getClaims|currentUser|getSession|verifySession|validateRequest|getCurrentUser|getAuth|getKindeServerSession|withAuth|withPageAuthRequired|getIronSession|protect|(require|ensure|assert|check|verify|get)_?(Auth|User|Session|Login|SignedIn|Admin|Role|Permission|Owner)\w*)(\(\))?(\.\w+)?$/;
const PAGE =
  /(^|\/)app\/(.*\/)?(page|layout|template|route|actions?)\.[jt]sx?$|(^|\/)pages\/(?!_)[^.]*\.[jt]sx?$/;
const MIDDLEWARE = /(^|\/)(middleware|proxy)\.[jt]s$/;
const CHECKED = /redirect|auth|session|token|getUser|getClaims|Clerk/i;

/** A middleware alone has been walked around before; what decides is a check beside the data. */
export const serverChecks: Rule = {
  id: "WEB-07",
  name: "server-checks",
  area: "auth",
  severity: "p1",
  confidence: "medium",
  section: 3,
  title: "Protected pages check the session on the server, beside the data",
  remedy:
    "check the session in the layout, the page or the data layer; the middleware is a first door",
  check(repository) {
    const isNext = webManifests(repository).some((one) => one.isNext);
    if (!isNext) {
      return { status: "not-applicable", summary: "there are no pages of Next", evidence: [] };
    }
    const all = scripts(repository);
    const evidence: Evidence[] = [];
    let inMiddleware: { file: string; line: number } | null = null;
    let inBrowser: { file: string; line: number } | null = null;
    for (
      const module of all.mentioning(
        /auth|session|getUser|currentUser|protect|require[A-Z]|verify|redirect/i,
      )
    ) {
      const { path: file } = module;
      const context = repository.file(file)?.context;
      if (context === "test" || context === "docs") continue;
      if (MIDDLEWARE.test(file) && CHECKED.test(module.text)) inMiddleware ??= { file, line: 1 };
      const isClient = module.directives.includes("use client");
      for (const { callee, line } of callsIn(module)) {
        const isHook = /^use(Session|Auth|User|CurrentUser)$/.test(callee);
        if (isHook) inBrowser ??= { file, line };
        if (isClient || isHook || !CHECK.test(callee)) continue;
        const isPlace = PAGE.test(file) || module.directives.includes("use server") ||
          /(^|\/)(lib|server|data|dal|actions|services|trpc|api)\//.test(file);
        if (!isPlace || MIDDLEWARE.test(file)) continue;
        evidence.push({
          kind: "strength",
          file,
          line,
          message: `${callee}() is asked on the server`,
        });
        break;
      }
    }
    const isInPage = evidence.some(({ file }) => PAGE.test(file));
    const hasAuth = dependsOn(repository, LIBRARY) || inMiddleware !== null || inBrowser !== null;
    if (!isInPage && hasAuth && evidence.length === 0) {
      if (inMiddleware) {
        evidence.push({
          kind: "weakness",
          ...inMiddleware,
          message: "only the middleware asks who it is: no page or layout does",
        });
      } else if (inBrowser) {
        evidence.push({
          kind: "gap",
          ...inBrowser,
          message: "only the browser asks who it is: no page, layout or middleware does",
        });
      }
    }
    return conclude(evidence.slice(0, 20), {
      status: hasAuth ? "unknown" : "not-applicable",
      summary: hasAuth ? "where sessions are checked was not found" : "no page is protected here",
    });
  },
};
