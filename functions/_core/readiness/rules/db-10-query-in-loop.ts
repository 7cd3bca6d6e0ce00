import { last, names } from "../models/names.ts";
import { routes } from "../models/routes.ts";
import { place, withServer } from "../models/servers.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const QUERY =
  /^(execute|exec|scalar|scalars|get|query|refresh|fetchone|fetchrow|fetchval|first|one|one_or_none|findUnique|findFirst|findOne|findById|findMany|count|aggregate)$/;
const OWNER =
  /^(self\.|this\.|ctx\.|app\.|request\.state\.)?_?(db|session|async_session|conn|connection|cursor|cur|prisma|knex|em|entityManager|pool)([._(]|$)/i;
const EAGER =
  /^(selectinload|joinedload|subqueryload|contains_eager|select_related|prefetch_related|leftJoinAndSelect)$/;

/** A query for each row of another makes a hundred of one. */
export const queryInLoop: Rule = {
  id: "DB-10",
  name: "query-in-loop",
  area: "db",
  severity: "p2",
  confidence: "low",
  section: 2,
  title: "No request asks the database once for each row",
  remedy: "load what belongs together in one query: a join, selectinload, or where id = any(…)",
  check: withServer((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    const seen = new Set<string>();
    for (const { handler, handlerFile } of routes(repository).routes) {
      if (!handler) continue;
      for (const { file, fn } of all.reach({ file: handlerFile, fn: handler }, 2)) {
        for (const { callee, line, site } of fn.calls) {
          const name = last(callee);
          const key = `${file.path}:${line}`;
          if (seen.has(key)) continue;
          if (site.isLoop && QUERY.test(name) && OWNER.test(callee)) {
            seen.add(key);
            evidence.push(
              place("weakness", { file, line }, `${callee} runs in a loop of a request`),
            );
          } else if (EAGER.test(name)) {
            seen.add(key);
            evidence.push(
              place("strength", { file, line }, `${name} loads what belongs to the rows`),
            );
          }
        }
      }
    }
    return conclude(evidence.slice(0, 50), {
      status: "unknown",
      summary: "no query of a request was seen in a loop, nor what loads ahead",
    });
  }),
};
