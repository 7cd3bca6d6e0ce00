// needs: supabase-cli
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { type ManagementApi, startManagementApi } from "./support/management-api.ts";
import {
  baselineDatabase,
  type Database,
  type Server,
  startPostgres,
  withSql,
} from "./support/postgres.ts";
import {
  createProject,
  filesOf,
  projectsFolder,
  removeFolder,
  supabase,
} from "./support/project.ts";
import { cloneTo } from "./support/packed.ts";
import { ROOT } from "./support/sql-files.ts";

const home = projectsFolder();
const page = readFileSync(join(ROOT, "docs/install.md"), "utf8");
const blocks = [...page.matchAll(/```(sh|sql)\n([\s\S]*?)```/g)]
  .map(([, language = "", text = ""]) => ({ language, text }));
let server: Server;
let db: Database;
let api: ManagementApi;
let project: string;
let clone: string;

before(async () => {
  server = await startPostgres();
  db = await baselineDatabase(server);
  api = await startManagementApi(home);
  clone = cloneTo(home);
  project = createProject(home, { "package.json": '{ "name": "app", "private": true }\n' });
});
after(async () => {
  await api?.stop();
  await server?.stop();
  removeFolder(home);
});

const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");

/**
 * `npm install` without the registry: the package that was packed, beside the packages that are installed here. And
 * npx with the test's own database and API, as a linked project would have them.
 */
function programs(): string {
  const folder = join(home, "bin");
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\nset -e\n${text}`);
    chmodSync(join(folder, name), 0o755);
  };
  write(
    "npm",
    `if [ "$1" = pack ]; then cd '${clone}'; PATH='${
      process.env["PATH"]
    }' exec npm "$@" --silent; fi
mkdir -p node_modules; for one in '${ROOT}'/node_modules/*; do ln -sfn "$one" node_modules/; done
rm -f node_modules/bulkhead; tar -xzf "$3" -C node_modules; mv node_modules/package node_modules/bulkhead
`,
  );
  write(
    "npx",
    `program=$1; shift
if [ "$program" = bulkhead ]; then exec node node_modules/bulkhead/scripts/bin.mjs "$@"; fi
case "$1" in db) set -- "$@" ${quoted([`--remote=${db.url}?sslmode=disable`])} ;; *) set -- "$@" ${
      quoted(api.flags)
    } ;; esac
exec node '${ROOT}/node_modules/supabase/dist/supabase.js' "$@"
`,
  );
  return folder;
}

const secret = randomBytes(32).toString("hex");
function shell(text: string, cwd: string): Promise<{ code: number; output: string }> {
  const env = {
    PATH: [programs(), join(process.execPath, ".."), process.env["PATH"]].join(delimiter),
    HOME: home,
    PROJECT: project,
    DATABASE_URL: db.url,
    BULKHEAD_HMAC_SECRET: secret,
    BULKHEAD_KEK: randomBytes(32).toString("base64"),
    BULKHEAD_STORE: `file://${home}/store`,
    SLACK_WEBHOOK_URL: "http://127.0.0.1:9/services/T/B/X",
    SUPABASE_YES: "1",
    SUPABASE_TELEMETRY_DISABLED: "1",
    NO_COLOR: "1",
    ...api.env,
  };
  return new Promise((resolve) =>
    execFile(
      "sh",
      ["-ec", text],
      { cwd, env, timeout: 240_000, maxBuffer: 1 << 26 },
      (error, stdout, stderr) =>
        resolve({
          code: error === null ? 0 : typeof error.code === "number" ? error.code : 1,
          output: `${stdout}${stderr}`,
        }),
    )
  );
}

describe("docs/install.md", () => {
  it("has a command for every step", () => {
    const text = blocks.map((block) => block.text).join("\n");
    for (
      const step of [
        "npm pack",
        "bulkhead init",
        "db push",
        "functions deploy",
        "secrets set",
        "doctor",
        "upgrade",
        "uninstall",
      ]
    ) {
      assert.ok(text.includes(step), step);
    }
  });

  for (const [index, { language, text }] of blocks.entries()) {
    it(`works: ${text.trim().split("\n")[0]}`, async () => {
      if (language === "sql") {
        const values = text.replace(
          "https://<project>.supabase.co/functions/v1",
          "http://127.0.0.1:9/functions/v1",
        )
          .replace("<BULKHEAD_HMAC_SECRET>", secret);
        await withSql(db.url, (sql) => sql.unsafe(values).simple());
        return;
      }
      const { code, output } = await shell(text, index === 0 ? clone : project);
      // Nobody serves the functions here, and the doctor says so.
      if (/doctor/.test(text)) {
        assert.equal(code, 1, output);
        assert.deepEqual(
          output.split("\n").filter((line) => line.startsWith("✗")).map((line) =>
            line.split(":")[0]
          ),
          ["✗ function_backup", "✗ function_alert", "✗ function_status"],
        );
      } else assert.equal(code, 0, output);
    });
    if (/functions deploy/.test(text)) {
      it("deploys each function with everything that it imports, and nothing else's files", () => {
        const installed = filesOf(join(project, "supabase/functions/_bulkhead"));
        assert.deepEqual([...api.functions.keys()].sort(), ["alert", "backup", "status"]);
        const sent = new Set<string>();
        for (const [name, { metadata, files }] of api.functions) {
          assert.equal(
            metadata["entrypoint_path"],
            `supabase/functions/_bulkhead/${name}/index.ts`,
          );
          assert.equal(metadata["import_map_path"], "supabase/functions/_bulkhead/deno.json");
          assert.equal(metadata["verify_jwt"], false);
          for (const [path, content] of Object.entries(files)) {
            const short = path.replace("supabase/functions/_bulkhead/", "");
            assert.equal(content, installed[short], path);
            sent.add(short);
          }
        }
        assert.deepEqual([...sent].sort(), Object.keys(installed).sort());
        assert.ok(api.secrets.includes("BULKHEAD_HMAC_SECRET"));
      });
    }
  }

  it("leaves the database and the project without the kit", async () => {
    const left = await withSql(
      db.url,
      (sql) => sql`select 1 from pg_namespace where nspname like 'bulkhead%'`,
    );
    assert.equal(left.length, 0);
    assert.ok(
      !Object.keys(filesOf(join(project, "supabase"))).some((path) =>
        path.startsWith("functions/")
      ),
    );
    assert.match(
      await supabase(project, ["db", "push", `--remote=${db.url}?sslmode=disable`], { home }),
      /up to date/i,
    );
  });
});
