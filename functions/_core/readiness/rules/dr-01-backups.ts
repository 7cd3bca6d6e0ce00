import { gap, strength, unknown, weakness } from "../evidence.ts";
import { dutiesOf, pagesAbout } from "../models/backups.ts";
import { databaseSigns } from "../models/database.ts";
import { unreadWorkflows, workflowsOf } from "../models/workflows.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** What no copy exists of is gone after one wrong statement. */
export const backups: Rule = {
  id: "DR-01",
  name: "backups",
  area: "dr",
  severity: "p0",
  confidence: "medium",
  section: 5,
  title: "The database is backed up by something that runs by itself",
  remedy: "schedule a backup, or write down which provider makes it and how long it is kept",
  check(repository) {
    const made = dutiesOf(repository).filter(({ part }) => part === "backup");
    const evidence: Evidence[] = made.filter(({ schedule }) => schedule).map((one) =>
      strength(one.file, one.line, `${one.what}, started by ${one.schedule?.what ?? ""}`)
    );
    if (evidence.length === 0) {
      for (const { file, line, what } of made) {
        const message = `${what} makes a backup, and nothing here starts it by itself`;
        evidence.push(weakness(file, line, message, { severity: "p1" }));
      }
    }
    const [database] = databaseSigns(repository);
    if (evidence.length === 0 && database) {
      const unread = unreadWorkflows(workflowsOf(repository));
      const page = pagesAbout(repository, "backup");
      const { runBy, file, line, what } = database;
      if (runBy === "provider") {
        evidence.push(
          unknown(file, line, `${what}: whether its backups are on can't be seen here`),
        );
      } else if (page) {
        const message = "backups are written about, and nothing here makes one";
        evidence.push(weakness(page.file, page.line, message, { severity: "p1" }));
      } else if (unread.length > 0) evidence.push(...unread);
      else if (runBy === "self") {
        evidence.push(gap(file, line, `${what}, and nothing makes a backup of it`));
      } else {
        evidence.push(
          unknown(file, line, `${what}; where it runs, and who backs it up, can't be seen`),
        );
      }
    }
    return conclude(evidence, { status: "not-applicable", summary: "no sign of a database" });
  },
};
