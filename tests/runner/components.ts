import { existsSync } from "node:fs";
import { join } from "node:path";
import { hasRadosgw } from "../support/radosgw.ts";
import { ROOT } from "../support/sql-files.ts";
import { isExecutable } from "../support/unprivileged.ts";

type Component = { found: () => boolean; install: string };

const extension15 = (name: string) =>
  existsSync(`/usr/share/postgresql/15/extension/${name}.control`);
const installed = (name: string) => existsSync(join(ROOT, "node_modules", name, "package.json"));
const apt = (packages: string) => `apt-get install --no-install-recommends ${packages}`;

/** What a suite may need beyond Node and `npm ci`, how it is recognised and what installs it. */
export const COMPONENTS: Record<string, Component> = {
  "postgres-15": {
    found: () => isExecutable("/usr/lib/postgresql/15/bin/postgres"),
    install: apt("postgresql-15"),
  },
  "pg_cron": { found: () => extension15("pg_cron"), install: apt("postgresql-15-cron") },
  "pgtap-15": { found: () => extension15("pgtap"), install: apt("postgresql-15-pgtap") },
  "plpgsql_check": {
    found: () => extension15("plpgsql_check"),
    install: apt("postgresql-15-plpgsql-check"),
  },
  "pg_prove": {
    found: () => isExecutable("/usr/bin/pg_prove") && isExecutable("/usr/bin/psql"),
    install: apt("libtap-parser-sourcehandler-pgtap-perl postgresql-client-15"),
  },
  "pg_dump-15": {
    found: () => isExecutable("/usr/lib/postgresql/15/bin/pg_dump"),
    install: apt("postgresql-client-15"),
  },
  "radosgw": { found: hasRadosgw, install: apt("radosgw ceph-mon ceph-osd ceph-common") },
  "deno-edge": { found: () => installed("deno-edge"), install: "npm ci" },
  "deno": { found: () => installed("deno"), install: "npm ci" },
  "supabase-cli": { found: () => installed("supabase"), install: "npm ci" },
  "typescript": { found: () => installed("typescript"), install: "npm ci" },
};

const known = new Map<string, boolean>();

/**
 * The first component that is missing, and the command that installs it.
 *
 * @example
 * missing(["postgres-15", "pg_cron"]); // { name: "pg_cron", install: "apt-get install …" } or undefined
 */
export function missing(needs: readonly string[]): { name: string; install: string } | undefined {
  for (const name of needs) {
    const component = COMPONENTS[name];
    if (!component) {
      throw new Error(`Cannot detect "${name}": it is not in tests/runner/components.ts`);
    }
    const found = known.get(name) ?? component.found();
    known.set(name, found);
    if (!found) return { name, install: component.install };
  }
  return undefined;
}
