import { conclude, type Evidence, type Rule } from "../rule.ts";
import { withCode } from "../models/code.ts";
import { logCalls, redactor, shownBy } from "../models/loggers.ts";
import { isPersonalName, isWholePerson } from "../models/sensitive.ts";
import { place, unreadSources } from "../models/servers.ts";
import { BY_HAND } from "./obs-03-logged-secrets.ts";

const MOST = 40;

/** What a log holds, a request to erase or to export has to find. */
export const loggedPersonalData: Rule = {
  id: "OBS-06",
  name: "logged-personal-data",
  area: "observability",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Personal data reaches loggers and error trackers only through a redactor",
  remedy: "log ids, and wire a redactor for the fields that name a person",
  check: withCode((repository) => {
    const evidence: Evidence[] = [];
    const calls = logCalls(repository);
    const wired = redactor(repository);
    for (const { file, call, sink } of calls) {
      if (wired && sink === "logger" && wired.file.language === file.language) continue;
      for (const { name } of shownBy(call)) {
        const isBody = /(^|\.)(req|request)\.(json|form|body)\(\)$/.test(name) ||
          /(^|\.)(req|request|ctx\.request)\.(body|form|data|POST)$/.test(name);
        const isData = isPersonalName(name) || isBody;
        if (!isData && !isWholePerson(name)) continue;
        const severity = BY_HAND.test(file.path) ? "p2" : "p1";
        const what = isData ? name : `${name}, all of it`;
        const kind = isData && sink !== "tracker" ? "gap" : "weakness";
        evidence.push(
          place(
            kind,
            { file, line: call.line },
            `${call.callee} is given ${what}`,
            kind === "gap" ? severity : "p2",
          ),
        );
        break;
      }
    }
    const found = evidence.slice(0, MOST);
    const [first] = calls;
    if (wired) found.push(place("strength", wired, `a redactor is wired (${wired.what})`));
    else if (found.length === 0 && first) {
      found.push(
        place(
          "strength",
          { file: first.file, line: first.call.line },
          `none of ${calls.length} logging calls names a person's data`,
        ),
      );
    }
    if (found.every(({ kind }) => kind === "strength") && first) {
      found.push(...unreadSources(repository));
    }
    return conclude(found, { status: "not-applicable", summary: "nothing is logged" });
  }),
};
