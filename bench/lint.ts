import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { ROOT } from "../tests/support/sql-files.ts";
import type { Row } from "./measure.ts";

const FILES = 1_000;

/** How long the command takes on an application of 1,000 files, its start included. */
export async function lint(): Promise<Row[]> {
  const home = await mkdtemp(join(tmpdir(), "bulkhead-lint-"));
  try {
    await writeApplication(home);
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const began = performance.now();
      await promisify(execFile)(
        process.execPath,
        ["--import", "tsx", join(ROOT, "scripts/cli.ts"), "lint", home, "--json"],
        { maxBuffer: 100_000_000 },
      ).catch((error: unknown) => {
        // There is something to find: 1 is the right answer.
        if (!(error instanceof Error && "code" in error && error.code === 1)) throw error;
      });
      times.push((performance.now() - began) / 1000);
    }
    const median = times.toSorted((a, b) => a - b)[1] ?? NaN;
    return [{ what: `lint on ${FILES} files / 10 s`, ratio: median / 10, atMost: 1 }];
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** A made-up application: each module has components, a service, and imports of three others. */
async function writeApplication(home: string): Promise<void> {
  for (const folder of ["lib", "src"]) await mkdir(join(home, folder));
  await writeFile(
    join(home, "tsconfig.json"),
    '{ "compilerOptions": { "baseUrl": ".", "paths": { "@/*": ["./src/*"], "~lib/*": ["./lib/*"] } } }',
  );
  await writeFile(
    join(home, "lib/admin.ts"),
    `import { createClient } from "@supabase/supabase-js";
export function createAdminClient() {
  return createClient(process.env.SUPABASE_URL!, process.env.SUPABASE_SERVICE_ROLE_KEY!);
}
export const createUserClient = (token: string) =>
  createClient(process.env.SUPABASE_URL!, process.env.SUPABASE_ANON_KEY!, {
    global: { headers: { Authorization: \`Bearer \${token}\` } },
  });`,
  );
  for (let n = 0; n < FILES; n++) {
    const others = [1, 7, 31].map((step) => (n + step) % FILES);
    await writeFile(join(home, `src/module-${n}.tsx`), moduleText(n, others));
  }
}

function moduleText(n: number, others: readonly number[]): string {
  const part = (k: number) => `
export type Row${k} = { id: string; name: string; total: number; tags: readonly string[] };

export async function load${k}(db: Service, filter: { search?: string; page: number }): Promise<Row${k}[]> {
  let query = db.client.from("orders_${k}").select("id, name, total, tags").order("name");
  if (filter.search) query = query.ilike("name", \`%\${filter.search}%\`);
  const { data, error } = await query.range(filter.page * 20, filter.page * 20 + 19);
  if (error) throw new Error(\`Cannot load: \${error.message}\`);
  return (data ?? []).map((row) => ({ ...row, total: Math.round(row.total * 100) / 100 }));
}

export function List${k}({ rows, onSelect }: { rows: Row${k}[]; onSelect: (id: string) => void }) {
  const [open, setOpen] = useState<string | null>(null);
  const sorted = useMemo(() => [...rows].sort((a, b) => a.name.localeCompare(b.name)), [rows]);
  const total = sorted.reduce((sum, row) => sum + row.total, 0);
  return (
    <section className="list">
      <h2>{total > 0 ? \`\${sorted.length} rows, \${total}\` : "nothing yet"}</h2>
      {sorted.map((row) => (
        <button key={row.id} onClick={() => { setOpen(row.id); onSelect(row.id); }}>
          <span>{row.name}</span>
          {open === row.id && <ul>{row.tags.map((tag) => <li key={tag}>{tag.toUpperCase()}</li>)}</ul>}
        </button>
      ))}
    </section>
  );
}
`;
  return `import { useMemo, useState } from "react";
import { createAdminClient, createUserClient } from "~lib/admin";
${others.map((other) => `import { helper${other} } from "@/module-${other}";`).join("\n")}

export class Service {
  constructor(readonly client: any, private readonly name = "service-${n}") {}
  async save(row: { id: string; name: string }) {
    return await this.client.from("orders").upsert({ ...row, name: this.name });
  }
}

export async function helper${n}(token: string, value: number): Promise<number> {
  const service = new Service(${n % 20 === 0 ? "createAdminClient()" : "createUserClient(token)"});
  await service.save({ id: String(value), name: "helper" });
  const values = [${others.map((other) => `await helper${other}(token, value - 1)`).join(", ")}];
  return values.reduce((sum, each) => sum + each, 0);
}
${[0, 1, 2].map(part).join("")}`;
}
