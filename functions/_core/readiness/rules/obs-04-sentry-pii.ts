import { conclude, type Evidence, type Rule } from "../rule.ts";
import { withCode } from "../models/code.ts";
import { holds } from "../models/conditions.ts";
import { names, option, walk } from "../models/names.ts";
import { place, sentryInits } from "../models/servers.ts";

/** A tracker that is told everything holds everybody's cookies, addresses and bodies. */
export const sentryPii: Rule = {
  id: "OBS-04",
  name: "sentry-pii",
  area: "observability",
  severity: "p2",
  confidence: "high",
  section: 5,
  title: "Sentry is not sent personal data by default",
  remedy: "leave sendDefaultPii off, and scrub events in beforeSend",
  check: withCode((repository) => {
    const all = names(repository);
    const evidence: Evidence[] = [];
    for (const { file, call } of sentryInits(repository)) {
      const at = { file, line: call.line };
      const pii = option(call, "send_default_pii") ?? option(call, "sendDefaultPii");
      const scrub = option(call, "before_send") ?? option(call, "beforeSend") ??
        option(call, "event_scrubber");
      const isOn = pii ? holds(all, file, pii) : false;
      if (isOn === true) {
        evidence.push(
          scrub
            ? place(
              "weakness",
              at,
              "personal data is sent by default; what beforeSend leaves of it is up to it",
            )
            : place("gap", at, "personal data is sent by default, and nothing scrubs it"),
        );
      } else if (isOn === null) {
        evidence.push(
          place("unknown", at, "whether personal data is sent by default is decided at run time"),
        );
      } else {
        evidence.push(
          place(
            "strength",
            at,
            scrub
              ? "events are scrubbed and hold no personal data by default"
              : "personal data is not sent by default",
          ),
        );
      }
      const bare = [...call.args, ...call.named.map(({ value }) => value)].flatMap((
        one,
      ) => [...walk(one)])
        .find((one) =>
          one.kind === "map" &&
          one.entries.some(({ key, value }) =>
            (key === "maskAllText" || key === "blockAllMedia") && value.kind === "flag" &&
            !value.value
          )
        );
      if (bare) {
        evidence.push(
          place("gap", { file, line: bare.line }, "session replay records text or media unmasked"),
        );
      }
    }
    return conclude(evidence, { status: "not-applicable", summary: "Sentry is not used" });
  }),
};
