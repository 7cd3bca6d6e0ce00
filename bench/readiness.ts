import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { ROOT } from "../tests/support/sql-files.ts";
import type { Row } from "./measure.ts";

const FILES = 2_000;
/** Said at the end of the audit's own process: the most memory it ever held, in kB. */
const MEASURE =
  'data:text/javascript,process.on("exit",()=>process.stderr.write(`maxrss ${process.resourceUsage().maxRSS}\\n`))';

/** How long the audit of 2,000 files takes, its start included, and how much memory. */
export async function readiness(): Promise<Row[]> {
  const home = await mkdtemp(join(tmpdir(), "bulkhead-readiness-"));
  try {
    await writeApplication(home);
    const rounds: { seconds: number; megabytes: number }[] = [];
    for (let round = 0; round < 3; round++) rounds.push(await audited(home));
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[1] ?? NaN;
    return [
      {
        what: `readiness on ${FILES} files / 10 s`,
        ratio: median(rounds.map(({ seconds }) => seconds)) / 10,
        atMost: 1,
      },
      {
        what: `readiness on ${FILES} files / 500 MB`,
        ratio: median(rounds.map(({ megabytes }) => megabytes)) / 500,
        atMost: 1,
      },
    ];
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

function audited(home: string): Promise<{ seconds: number; megabytes: number }> {
  const began = performance.now();
  const child = spawn(process.execPath, [
    ...["--import", MEASURE, "--import", "tsx"],
    ...[join(ROOT, "scripts/cli.ts"), "readiness", home, "--json"],
  ], { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (data) => stderr += data);
  return new Promise((resolve, reject) => {
    child.on("close", (code) => {
      const kilobytes = Number(/maxrss (\d+)/.exec(stderr)?.[1]);
      // There is something to find: 1 and 3 are right answers.
      if (![0, 1, 3].includes(code ?? -1) || Number.isNaN(kilobytes)) {
        return reject(new Error(stderr));
      }
      resolve({ seconds: (performance.now() - began) / 1000, megabytes: kilobytes / 1024 });
    });
  });
}

/** A made-up company: a Python back end, a web, migrations, workflows and compose files, as many as asked. */
export async function writeApplication(home: string): Promise<void> {
  const files = new Map<string, string>(Object.entries(FIXED));
  for (let n = 0; files.size < FILES; n++) {
    const kind = n % 20;
    if (kind < 9) files.set(`api/app/module_${n % 40}/part_${n}.py`, python(n));
    else if (kind < 17) files.set(`web/src/part-${n % 30}/view-${n}.tsx`, view(n));
    else if (kind < 19) {
      files.set(`supabase/migrations/2024${String(n).padStart(10, "0")}_part.sql`, sql(n));
    } else if (n % 40 === 19) files.set(`.github/workflows/job-${n}.yml`, workflow(n));
    else files.set(`deploy/service-${n}/compose.yaml`, compose(n));
  }
  for (const [path, text] of files) {
    await mkdir(join(home, dirname(path)), { recursive: true });
    await writeFile(join(home, path), text);
  }
}

const FIXED = {
  "api/pyproject.toml":
    '[project]\nname = "api"\ndependencies = ["fastapi", "sqlalchemy", "httpx"]\n',
  "api/app/__init__.py": "",
  "api/app/settings.py":
    "from pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    environment: str\n    database_url: str\n    secret_key: str\n\nsettings = Settings()\n",
  "api/Dockerfile":
    'FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\nRUN pip install .\nUSER app\nCMD ["uvicorn", "app.main:app"]\n',
  "web/package.json": '{ "dependencies": { "next": "15.1.0", "react": "19.0.0" } }',
  "web/next.config.ts": "export default { output: 'standalone' };\n",
  "Caddyfile": "example.org {\n  reverse_proxy api:8000\n}\n",
  "README.md": "# Acme\n",
};

function python(n: number): string {
  const part = (k: number) => `
class Item${k}(BaseModel):
    id: UUID
    name: str = Field(max_length=200)
    total: Decimal = Decimal(0)


@router.get("/items-${n}-${k}", response_model=list[Item${k}])
async def list_items_${k}(
    organization: Organization = Depends(current_organization),
    session: AsyncSession = Depends(get_session),
    limit: int = Query(50, le=200),
) -> list[Item${k}]:
    """Every item of the organization, the newest first."""
    query = select(ItemRow).where(ItemRow.organization_id == organization.id).limit(limit)
    rows = (await session.execute(query)).scalars().all()
    logger.info("items listed", extra={"count": len(rows), "organization": organization.id})
    return [Item${k}(id=row.id, name=row.name, total=row.total) for row in rows]


@router.post("/items-${n}-${k}", status_code=201)
async def create_item_${k}(item: Item${k}, session: AsyncSession = Depends(get_session)) -> Item${k}:
    try:
        session.add(ItemRow(**item.model_dump()))
        await session.commit()
    except IntegrityError as error:
        await session.rollback()
        raise HTTPException(status_code=409, detail="it exists already") from error
    return item
`;
  return `import logging
from decimal import Decimal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.settings import settings

router = APIRouter(prefix="/part-${n}")
logger = logging.getLogger(__name__)
${[0, 1, 2].map(part).join("\n")}`;
}

function view(n: number): string {
  const part = (k: number) => `
export function List${k}({ rows, onSelect }: { rows: Row[]; onSelect: (id: string) => void }) {
  const [open, setOpen] = useState<string | null>(null);
  const sorted = useMemo(() => [...rows].sort((a, b) => a.name.localeCompare(b.name)), [rows]);
  return (
    <section className="list">
      <h2>{sorted.length > 0 ? \`\${sorted.length} rows\` : "nothing yet"}</h2>
      {sorted.map((row) => (
        <button key={row.id} onClick={() => { setOpen(row.id); onSelect(row.id); }}>
          <span>{row.name}</span>
          {open === row.id && <em>{row.total.toFixed(2)}</em>}
        </button>
      ))}
    </section>
  );
}

export async function load${k}(page: number): Promise<Row[]> {
  const response = await fetch(\`\${process.env.NEXT_PUBLIC_API_URL}/items-${n}-${k}?page=\${page}\`);
  if (!response.ok) throw new Error(\`Cannot load: \${response.status}\`);
  return await response.json();
}
`;
  const neighbour = JSON.stringify(`../part-${(n + 3) % 30}/view-${n + 20}`);
  return `"use client";
import { useMemo, useState } from "react";
import { load0 as other } from ${neighbour};

export type Row = { id: string; name: string; total: number };
export const more = other;
${[0, 1, 2].map(part).join("")}`;
}

function sql(n: number): string {
  return `create table public.items_${n} (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null references public.organizations (id) on delete restrict,
    name text not null check (length(name) < 200),
    created_at timestamptz not null default now()
);
create index on public.items_${n} (organization_id, created_at desc);
alter table public.items_${n} enable row level security;
create policy "members read" on public.items_${n} for select to authenticated
    using (organization_id in (select public.my_organizations()));
`;
}

function workflow(n: number): string {
  return `name: job ${n}
on: { pull_request: {}, push: { branches: [main] } }
permissions: { contents: read }
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@08eba0b27e820071cde6df949e0beb9ba4906955 # v4.3.0
        with: { persist-credentials: false }
      - run: |
          set -euo pipefail
          pip install uv && uv sync --locked
          uv run pytest -q
`;
}

function compose(n: number): string {
  return `services:
  api:
    image: registry.example.org/acme/api-${n}:1.4.2
    restart: unless-stopped
    environment: { DATABASE_URL: "\${DATABASE_URL:?}" }
    healthcheck: { test: ["CMD", "curl", "-f", "http://localhost:8000/health"] }
    deploy: { resources: { limits: { memory: 512M, cpus: "1" } } }
    depends_on: { db: { condition: service_healthy } }
  db:
    image: postgres:17.2
    restart: unless-stopped
    volumes: ["data:/var/lib/postgresql/data"]
volumes: { data: {} }
`;
}
