import { conclude, type Evidence, type Rule } from "../rule.ts";
import { dependenciesOf } from "../models/manifests.ts";
import { type Root, rootsOf } from "../models/roots.ts";

/** What talks to a database that has a schema of its own. */
const STORES =
  /^(sqlalchemy|sqlmodel|psycopg|psycopg2|psycopg2-binary|asyncpg|tortoise-orm|peewee|django|pg|postgres|mysql2|drizzle-orm|@prisma\/client|typeorm|sequelize|knex|@supabase\/supabase-js)$/;

/** What an audit speaks of: the parts of the application, and the part that is missing. */
export const roots: Rule = {
  id: "CFG-01",
  name: "roots",
  area: "config",
  severity: "p2",
  confidence: "medium",
  section: 1,
  title: "The application's parts are found: code, deployment, CI, migrations",
  remedy: "keep what builds, deploys and migrates the application in its repository",
  check(repository) {
    const found = rootsOf(repository);
    const of = (...kinds: Root["kind"][]) => found.filter(({ kind }) => kinds.includes(kind));
    const code = of("back end", "web");
    if (code.length === 0) {
      const broken = repository.unread.filter(({ file }) =>
        /package\.json$|pyproject\.toml$/.test(file)
      );
      return conclude(
        broken.map(({ file, reason }) => ({ kind: "unknown", file, line: null, message: reason })),
        { status: "unknown", summary: "no manifest names a framework of a back end or a web" },
      );
    }
    const evidence = found.map(({ kind, folder, what, file, line }): Evidence => ({
      kind: "strength",
      file,
      line,
      message: `${kind}: ${what} in ${folder === "" ? "the root" : folder}`,
    }));
    const missing = (message: string, file: string) =>
      evidence.push({ kind: "weakness", file, line: null, message });
    const [first] = code;
    if (of("workflows").length === 0) {
      missing("nothing checks a change: there is no CI", ".github/workflows");
    }
    if (of("deployment").length === 0) {
      missing(
        "nothing says how it is deployed: no compose file, image or platform",
        first?.file ?? ".",
      );
    }
    const store = dependenciesOf(repository).find(({ name, isDev, file }) =>
      !isDev && STORES.test(name) && (file.context === "prod")
    );
    if (store && of("migrations").length === 0) {
      evidence.push({
        kind: "weakness",
        file: store.file.path,
        line: store.line,
        message: `${store.name} is used, and there are no migrations`,
      });
    }
    return conclude(evidence, { status: "unknown", summary: "nothing was found" });
  },
};
