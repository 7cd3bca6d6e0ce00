import { type Setting, settingsOf } from "../models/settings.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const SETTINGS_FILE =
  /(^|\/)(settings|config|configuration|conf|env|environment)(\/[^/]+|[\w.-]*)\.(py|[cm]?[jt]s)$/i;
const FRAMEWORK =
  /^(NODE_ENV|PORT|HOST|CI|VERCEL\w*|NEXT_\w+|npm_\w+|PATH|HOME|TZ|DJANGO_SETTINGS_MODULE)$/;

/** Settings that are read in one typed place fail at the start, not in the first request that needs them. */
export const typedSettings: Rule = {
  id: "CFG-02",
  name: "typed-settings",
  area: "config",
  severity: "p1",
  confidence: "medium",
  section: 1,
  title: "The environment is read in one typed place",
  remedy: "read the environment once, in a BaseSettings class or a schema, and pass its fields on",
  async check(repository) {
    const { settings, classes } = await settingsOf(repository);
    const evidence: Evidence[] = classes
      .filter(({ file }) => repository.file(file)?.context !== "test")
      .map(({ name, file, line }) => ({
        kind: "strength",
        file,
        line,
        message: name === "schema"
          ? "a schema reads the environment"
          : `${name} reads the environment, typed`,
      }));
    for (const language of ["python", "node"] as const) {
      const typed = new Set(
        classes.filter((one) => one.language === language).map(({ file }) => file),
      );
      const reads = settings.filter((one) =>
        one.language === language && one.variable !== null && one.style !== "typed" &&
        !one.isDevelopment &&
        !FRAMEWORK.test(one.variable) && !typed.has(one.file) &&
        isServed(one, repository.file(one.file)?.context)
      );
      const files = [...new Set(reads.map(({ file }) => file))];
      const scattered = files.filter((file) => !SETTINGS_FILE.test(file));
      const first = reads.find(({ file }) => file === (scattered[0] ?? files[0]));
      if (!first) continue;
      if (typed.size > 0) {
        if (scattered.length > 3) evidence.push(besides(first, reads.length, scattered.length));
        continue;
      }
      const count = `${reads.length} variables are read untyped`;
      if (language === "node") {
        evidence.push({
          ...place(first),
          kind: "weakness",
          severity: "p2",
          message: `${count}, in ${files.length} files`,
        });
      } else if (scattered.length > 2) {
        evidence.push({
          ...place(first),
          kind: "gap",
          message: `${count}, in ${files.length} files`,
        });
      } else {
        evidence.push({
          ...place(first),
          kind: "weakness",
          message: `${count}, in ${files.join(" and ")}`,
        });
      }
    }
    return conclude(evidence, {
      status: settings.length === 0 ? "not-applicable" : "unknown",
      summary: settings.length === 0
        ? "no back end reads settings here"
        : "no read of the environment was found",
    });
  },
};

function isServed({ file }: Setting, context = "prod"): boolean {
  return context === "prod" &&
    !/(^|\/)(scripts?|tools?|alembic|migrations|bin)\/|\.config\.[cm]?[jt]s$/.test(file);
}

function place({ file, line }: Setting): { file: string; line: number } {
  return { file, line };
}

function besides(first: Setting, reads: number, files: number): Evidence {
  return {
    ...place(first),
    kind: "weakness",
    severity: "p2",
    message: `${reads} variables are read besides the typed settings, in ${files} files`,
  };
}
