import { conclude, type Evidence, type Rule } from "../rule.ts";
import { code, withCode } from "../models/code.ts";
import { names, option } from "../models/names.ts";
import { processLines } from "../models/proxy-lines.ts";
import { place, unreadSources } from "../models/servers.ts";
import { BY_HAND } from "./obs-03-logged-secrets.ts";

const MOST = 30;
const REQUESTS =
  /^requests\.(get|post|put|patch|delete|head|request)$|^requests\.(Session|session)\(\)\.(get|post|put|patch|delete|head|request)$|^urllib\.request\.urlopen$/;
const HTTPX = /^httpx\.(AsyncClient|Client|get|post|put|patch|delete|request|stream)$/;
const AXIOS = /^axios(\.default)?(\.(get|post|put|patch|delete|request))?$/;

/** What waits for ever holds a worker, a connection and a customer. */
export const timeouts: Rule = {
  id: "APP-11",
  name: "timeouts",
  area: "security",
  severity: "p2",
  confidence: "medium",
  section: 2,
  title: "Calls to others end in time",
  remedy: "give each client a timeout, and the server one for its requests",
  check: withCode((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    const axiosDefault = code(repository).some((file) =>
      file.statements.some((one) => /(^|\.)axios\.defaults\.timeout$/.test(one.target ?? "")) ||
      file.calls.some((call) =>
        /^axios(\.default)?\.create$/.test(all.calls(file, call.callee)) && option(call, "timeout")
      )
    );
    for (const file of code(repository)) {
      if (file.directives.includes("use client")) continue;
      for (const call of file.calls) {
        const origin = all.calls(file, call.callee);
        const at = { file, line: call.line };
        const severity = "p2" as const;
        const timeout = option(call, "timeout");
        if (BY_HAND.test(file.path)) continue;
        if (REQUESTS.test(origin)) {
          const isNone = timeout === null || timeout.kind === "none";
          const isSpread = call.args.length > 3 ||
            call.args.some((one) => one.kind === "other" && /splat/.test(one.operator));
          if (isNone && !isSpread) {
            evidence.push(place("gap", at, `${call.callee} waits for ever`, severity));
          } else if (!isNone) evidence.push(place("strength", at, `${call.callee} ends in time`));
        } else if (HTTPX.test(origin)) {
          evidence.push(
            timeout?.kind === "none"
              ? place("gap", at, `${call.callee} is told to wait for ever`, severity)
              : place(
                "strength",
                at,
                timeout
                  ? `${call.callee} ends in time`
                  : `${call.callee} ends after httpx's five seconds`,
              ),
          );
        } else if (/^aiohttp\.ClientSession$/.test(origin)) {
          evidence.push(
            timeout
              ? place("strength", at, "aiohttp ends in time")
              : place("weakness", at, "aiohttp ends after its five minutes", severity),
          );
        } else if (/^axios(\.default)?\.create$/.test(origin)) {
          evidence.push(
            timeout
              ? place("strength", at, "axios ends in time")
              : place("gap", at, "axios waits for ever: timeout is 0 unless it is set", severity),
          );
        } else if (AXIOS.test(origin) && !axiosDefault) {
          const own = timeout ?? option(call, "signal");
          evidence.push(
            own ? place("strength", at, `${call.callee} ends in time`) : place(
              "gap",
              at,
              `${call.callee} waits for ever: timeout is 0 unless it is set`,
              severity,
            ),
          );
        } else if (/^(got|ky|undici\.request)$/.test(origin) && timeout) {
          evidence.push(place("strength", at, `${call.callee} ends in time`));
        } else if (
          call.callee === "fetch" && file.language === "script" && !/\.[jt]sx$/.test(file.path)
        ) {
          if (option(call, "signal")) {
            evidence.push(place("strength", at, "fetch ends with its signal"));
          }
        }
      }
    }
    for (
      const line of processLines(
        repository,
        /--timeout(-keep-alive|-graceful-shutdown)?[= "',]+\d|statement_timeout/,
      ).slice(0, 3)
    ) {
      evidence.push(place("strength", line, "the server ends what takes too long"));
    }
    const gaps = evidence.filter(({ kind }) => kind === "gap").slice(0, MOST);
    const rest = evidence.filter(({ kind }) => kind !== "gap").slice(0, MOST);
    const found = [...gaps, ...rest];
    if (found.length > 0 && found.every(({ kind }) => kind === "strength")) {
      found.push(...unreadSources(repository));
    }
    return conclude(found, { status: "not-applicable", summary: "no client of others was found" });
  }),
};
