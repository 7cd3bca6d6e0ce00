import { existsSync } from "node:fs";
import { join } from "node:path";
import { hasRadosgw } from "../support/radosgw.ts";
import { ROOT } from "../support/sql-files.ts";
import { isExecutable } from "../../scripts/local/unprivileged.ts";

type Component = { found: () => boolean; packages: string };

const extension15 = (name: string) =>
  existsSync(`/usr/share/postgresql/15/extension/${name}.control`);
const installed = (name: string) => existsSync(join(ROOT, "node_modules", name, "package.json"));

/** What `npm ci` brings; everything else is a Debian package. */
const NPM = "";

/** What a suite may need beyond Node and `npm ci`, how it is recognised and what installs it. */
export const COMPONENTS: Record<string, Component> = {
  "postgres-15": {
    found: () => isExecutable("/usr/lib/postgresql/15/bin/postgres"),
    packages: "postgresql-15",
  },
  "pg_cron": { found: () => extension15("pg_cron"), packages: "postgresql-15-cron" },
  "pgtap-15": { found: () => extension15("pgtap"), packages: "postgresql-15-pgtap" },
  "plpgsql_check": {
    found: () => extension15("plpgsql_check"),
    packages: "postgresql-15-plpgsql-check",
  },
  "pg_prove": {
    found: () => isExecutable("/usr/bin/pg_prove") && isExecutable("/usr/bin/psql"),
    packages: "libtap-parser-sourcehandler-pgtap-perl postgresql-client-15",
  },
  "pg_dump-15": {
    found: () => isExecutable("/usr/lib/postgresql/15/bin/pg_dump"),
    packages: "postgresql-client-15",
  },
  "radosgw": { found: hasRadosgw, packages: "radosgw ceph-mon ceph-osd ceph-common" },
  "chromium": { found: () => isExecutable("/usr/bin/chromium"), packages: "chromium" },
  "deno-edge": { found: () => installed("deno-edge"), packages: NPM },
  "deno": { found: () => installed("deno"), packages: NPM },
  "supabase-cli": { found: () => installed("supabase"), packages: NPM },
  "typescript": { found: () => installed("typescript"), packages: NPM },
};

const known = new Map<string, boolean>();

/**
 * The components that are missing and the one command that installs them, or undefined when all are there.
 *
 * @example
 * missing(["postgres-15", "pg_cron"]); // { names: ["pg_cron"], install: "apt-get install … postgresql-15-cron" }
 */
export function missing(
  needs: readonly string[],
): { names: string[]; install: string } | undefined {
  const absent = needs.filter((name) => {
    const component = COMPONENTS[name];
    if (!component) {
      throw new Error(`Cannot detect "${name}": it is not in tests/runner/components.ts`);
    }
    const found = known.get(name) ?? component.found();
    known.set(name, found);
    return !found;
  });
  if (absent.length === 0) return undefined;
  const packages = absent.map((name) => COMPONENTS[name]?.packages ?? NPM).filter((name) =>
    name !== NPM
  );
  const install = [
    ...(packages.length < absent.length ? ["npm ci"] : []),
    ...(packages.length > 0
      ? [`apt-get install --no-install-recommends ${[...new Set(packages)].join(" ")}`]
      : []),
  ];
  return { names: absent, install: install.join(" && ") };
}
