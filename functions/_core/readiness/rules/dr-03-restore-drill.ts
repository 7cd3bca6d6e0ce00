import { gap, strength, unknown, weakness } from "../evidence.ts";
import { dutiesOf, pagesAbout } from "../models/backups.ts";
import { databaseSigns } from "../models/database.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** A backup that was never restored is a file. */
export const restoreDrill: Rule = {
  id: "DR-03",
  name: "restore-drill",
  area: "dr",
  severity: "p1",
  confidence: "medium",
  section: 5,
  title: "Restoring is rehearsed by something that runs by itself",
  remedy:
    "schedule a job that restores the newest backup into an empty database and counts its rows",
  check(repository) {
    const duties = dutiesOf(repository);
    const restores = duties.filter(({ part }) => part === "restore");
    const [database] = databaseSigns(repository);
    const evidence: Evidence[] = [];
    for (const { file, line, what, schedule, blind } of restores) {
      if (blind !== null) {
        const message = "curl without `-f` takes an error page for the backup";
        evidence.push(weakness(file, blind, message));
      }
      if (schedule) evidence.push(strength(file, line, `${what}, started by ${schedule.what}`));
    }
    if (restores.length > 0 && !restores.some(({ schedule }) => schedule)) {
      const [{ file, line, what } = { file: "", line: 1, what: "" }] = restores;
      evidence.push(
        weakness(file, line, `${what} restores when somebody starts it; nothing rehearses it`),
      );
    }
    if (restores.length === 0 && (database || duties.length > 0)) {
      const page = pagesAbout(repository, "restore");
      const self = database?.runBy === "self" || duties.some(({ isManaged }) => !isManaged);
      const { file, line } = duties[0] ?? database ?? { file: "docs", line: null };
      if (page) {
        evidence.push(
          weakness(page.file, page.line, "restoring is described, and nothing rehearses it"),
        );
      } else if (self) {
        evidence.push(gap(file, line, "nothing restores a backup, and no page says how"));
      } else {
        evidence.push(
          unknown(file, line, "whether anybody restores what the provider keeps can't be seen"),
        );
      }
    }
    return conclude(evidence, { status: "not-applicable", summary: "no sign of a database" });
  },
};
