import { gap, strength, unknown } from "../evidence.ts";
import { dutiesOf } from "../models/backups.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** The backup that stopped in March is missed in June, on the day it is needed. */
export const backupAlarm: Rule = {
  id: "DR-04",
  name: "backup-alarm",
  area: "dr",
  severity: "p1",
  confidence: "medium",
  section: 5,
  title: "Somebody is told when a backup fails",
  remedy:
    "add a step with `if: failure()` that tells a channel, or a heartbeat that rings when it stays away",
  check(repository) {
    const made = dutiesOf(repository).filter(({ part, schedule }) => part === "backup" && schedule);
    const evidence = made.map(({ alarm, file, line, isManaged }): Evidence =>
      alarm
        ? strength(alarm.file, alarm.line, "a failure is told")
        : isManaged
        ? unknown(file, line, "who hears of the provider's failures can't be seen")
        : gap(file, line, "nobody is told when this backup fails")
    );
    // One backup that rings is enough; the others may be its parts.
    const rings = evidence.filter(({ kind }) => kind === "strength");
    return conclude(rings.length > 0 ? rings : evidence, {
      status: "not-applicable",
      summary: "no backup runs by itself (DR-01)",
    });
  },
};
