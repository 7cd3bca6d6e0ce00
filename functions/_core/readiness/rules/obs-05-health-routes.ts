import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, withCode } from "../models/code.ts";
import { last, names } from "../models/names.ts";
import { type Route, routes } from "../models/routes.ts";
import { djangoLists } from "../models/logins.ts";
import { place, servers } from "../models/servers.ts";
import type { Repository } from "../repository.ts";

const HEALTH =
  /(^|\/)(_*health(z|[-_]?check(s|er)?)?|live(z|ness)?|ready(z)?|readiness|ping|status|up|alive|heartbeat|_*heartbeat_*|monitoring)(\/(live|ready|liveness|readiness|db|database|full|deep))?\/?$/i;
const READY = /ready|readiness|\/(db|database|full|deep)\/?$/i;
/** What asks something outside the process: a database, a cache, another service. */
const ASKS =
  /^(execute|exec|scalar|scalars|ping|query|\$queryRaw|\$queryRawUnsafe|\$executeRaw|fetch|fetchval|fetchrow|fetch_one|connect|select|authenticate|command|raw|get_db|get_session|isConnected|admin|healthCheck|pingCheck|check|first|findFirst|count|ensure_connection|cursor|rpc|unsafe)$/;
const TERMINUS =
  /^(@nestjs\/terminus|@godaddy\/terminus|lightship|health_check|fastapi_health|fastapi_healthchecks?|healthcheck)\b/;

/** A process that answers is not one that can work: an orchestrator must be told both, apart. */
export const healthRoutes: Rule = {
  id: "OBS-05",
  name: "health-routes",
  area: "observability",
  severity: "p1",
  confidence: "medium",
  section: 5,
  title: "A liveness route asks nothing and a readiness route asks the database",
  remedy: "answer /health/live from the process alone, and /health/ready after a SELECT 1",
  check: withCode((repository) => {
    const kinds = servers(repository);
    const found = routes(repository).routes.filter(({ path, methods, kind }) =>
      kind === "http" && HEALTH.test(path) && methods.some((one) => /GET|ANY|HEAD/.test(one))
    );
    if (kinds.size === 0) {
      return conclude([], { status: "not-applicable", summary: "no back end was found" });
    }
    if (found.length === 0 && isServerless(repository, kinds)) {
      return conclude([], {
        status: "not-applicable",
        summary: "functions that a platform starts for each request: nothing restarts them",
      });
    }
    const evidence: Evidence[] = [...packaged(repository)];
    const asking: Route[] = [];
    const silent: Route[] = [];
    for (const route of found) (asks(repository, route) ? asking : silent).push(route);
    for (const route of silent.filter(({ path }) => READY.test(path))) {
      evidence.push(place("gap", route, `${route.path} is called readiness and asks nothing`));
    }
    for (const route of asking) {
      evidence.push(place("strength", route, `${route.path} asks what it depends on`));
    }
    const live = silent.filter(({ path }) => !READY.test(path));
    for (const route of live) {
      evidence.push(place("strength", route, `${route.path} answers from the process alone`));
    }
    const [first] = found;
    if (first && evidence.every(({ kind }) => kind === "strength")) {
      if (asking.length === 0 && packaged(repository).length === 0) {
        evidence.push(
          place(
            "weakness",
            first,
            `${first.path} asks nothing: no route tells whether the database can be reached`,
          ),
        );
      } else if (live.length === 0) {
        evidence.push(
          place(
            "weakness",
            first,
            `${first.path} asks the database and serves as liveness too: an outage of it restarts every process`,
            "p2",
          ),
        );
      }
    }
    const [home] = [...kinds.values()];
    if (evidence.length === 0 && home) {
      evidence.push(
        place(
          "gap",
          { file: home, line: null },
          "no route tells whether the back end is alive or ready",
        ),
      );
    }
    return conclude(evidence, { status: "unknown", summary: "" });
  }),
};

/** Next's own routes alone, and no container or process file that would keep them running. */
function isServerless(repository: Repository, kinds: ReadonlyMap<string, unknown>): boolean {
  const keeps =
    /(^|\/)([^/]*Dockerfile[^/]*|[^/]*compose[^/]*\.ya?ml|Procfile|fly\.toml|ecosystem\.config\.[cm]?js)$|(^|\/)(charts?|k8s|helm)\//i;
  return [...kinds.keys()].every((kind) => kind === "next") &&
    repository.matching(keeps).length === 0;
}

/** Packages that bring both, where they are used. */
function packaged(repository: Repository): Evidence[] {
  const apps = djangoLists(repository).filter(({ list, value }) =>
    list.endsWith("APPS") && /^health_check\./.test(value)
  ).slice(0, 1).map((one) => place("strength", one, `${one.value} is installed`));
  const imports = code(repository).flatMap((file) =>
    file.imports.filter(({ module }) => TERMINUS.test(module)).map(({ module, line }) =>
      place("strength", { file, line }, `${module} checks what the back end depends on`)
    )
  ).slice(0, 1);
  return [...apps, ...imports];
}

function asks(repository: Repository, route: Route): boolean {
  const all = names(repository);
  const depends = route.guards.some(({ value }) =>
    JSON.stringify(value, (key, inner) => key === "site" || key === "fn" ? undefined : inner)
      .match(/"name":"[^"]*(session|get_db|database)[^"]*"/i) !== null
  );
  if (!route.handler) return depends;
  const start = { file: route.handlerFile, fn: route.handler };
  return all.reach(start, 2).some(({ fn }) =>
    fn.calls.some(({ callee }) =>
      ASKS.test(last(callee)) && !/^(res|reply|c|ctx|response)\b/.test(callee)
    )
  );
}
