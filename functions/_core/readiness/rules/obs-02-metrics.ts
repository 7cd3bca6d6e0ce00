import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code } from "../models/code.ts";
import { holds } from "../models/conditions.ts";
import { last, names } from "../models/names.ts";
import { place, servers, withServer } from "../models/servers.ts";

const KINDS: [string, RegExp][] = [
  [
    "error tracking",
    /^(sentry_sdk|@sentry\/[\w-]+)(\.\w+)*\.init$|^Sentry\.init$|^(rollbar|bugsnag|@bugsnag\/js|honeybadger|airbrake)(\.\w+)*\.(init|start|configure)$|^posthog/i,
  ],
  [
    "metrics",
    /prometheus_fastapi_instrumentator\.Instrumentator|^prometheus_client\.(make_asgi_app|make_wsgi_app|start_http_server|generate_latest)$|^starlette_exporter|^aioprometheus|^prometheus_flask_exporter|^prom-client(\.\w+)*\.collectDefaultMetrics$|^express-prom-bundle|^fastify-metrics|^@willsoto\/nestjs-prometheus|(^|\.)register\.metrics$|^ddtrace|^newrelic|^dd-trace(\.\w+)*\.init$|^datadog|^statsd/,
  ],
  [
    "tracing",
    /Instrumentor(\(\))?\.(instrument|instrument_app)$|^opentelemetry\.trace\.set_tracer_provider$|set_tracer_provider$|^@opentelemetry\/sdk-node\.NodeSDK$|^@vercel\/otel\.registerOTel$|^logfire\.(configure|instrument_\w+)$|^applicationinsights|^@azure\/monitor-opentelemetry(\.\w+)*\.useAzureMonitor$|configure_azure_monitor$/,
  ],
];
const PLUGINS = /prometheus|metrics|opentelemetry|sentry/i;

/** What nobody measures, customers report. */
export const metrics: Rule = {
  id: "OBS-02",
  name: "metrics",
  area: "observability",
  severity: "p2",
  confidence: "medium",
  section: 5,
  title: "Errors, metrics or traces leave the process",
  remedy: "start an error tracker, expose /metrics, or start OpenTelemetry where the server starts",
  check: withServer((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    const seen = new Set<string>();
    for (const file of code(repository)) {
      for (const call of file.calls) {
        const origin = all.calls(file, call.callee).replace(/\(\)/g, "");
        const plugin = /(^|\.)(register|use|add_middleware|mount)$/.test(call.callee) &&
          call.args.find((one) => one.kind === "name");
        const given = plugin && plugin.kind === "name" ? all.origin(file, plugin.name) : "";
        const kind = KINDS.find(([, one]) =>
          one.test(origin) || one.test(all.calls(file, call.callee))
        )?.[0] ??
          (PLUGINS.test(given) ? "metrics" : undefined);
        if (!kind) continue;
        const at = { file, line: call.line };
        const what = given !== "" ? given : last(origin);
        if (call.site.fn && !all.isUsed(call.site.fn)) {
          evidence.push(
            place(
              "weakness",
              at,
              `${what} is started in ${call.site.fn.name}(), which nothing calls`,
            ),
          );
        } else if (
          call.site.when.some((one) => one.kind === "flag" && holds(all, file, one) === false)
        ) {
          continue;
        } else if (!seen.has(kind)) {
          seen.add(kind);
          evidence.push(place("strength", at, `${kind}: ${what}`));
        }
      }
    }
    if (seen.size > 0) {
      return conclude(evidence.filter(({ kind }) => kind === "strength"), {
        status: "unknown",
        summary: "",
      });
    }
    const [home] = [...servers(repository).values()];
    if (evidence.length === 0 && home) {
      evidence.push(
        place("gap", { file: home, line: null }, "no error tracker, metrics or tracing is started"),
      );
    }
    return conclude(evidence, { status: "unknown", summary: "" });
  }),
};
