import { edgeBackup, type EdgeBackupOutcome } from "../backup/edge-backup.ts";
import type { WorkerLife } from "../backup/edge-budget.ts";
import type { KekEnv } from "../keys/kms-variables.ts";
import { openKeyring } from "../keys/keyring.ts";
import { recordFailure } from "../backup/run-backup.ts";
import type { SignedCallDeps } from "../signed-call.ts";
import { openKek } from "./open-kek.ts";
import { openStore, type StoreEnv } from "./open-store.ts";
import { connect, type Sql } from "./postgres.ts";
import { openSource } from "./postgres-export.ts";
import { openEdgeLedger } from "./postgres-runs.ts";

/** The variables of the function, parsed. */
export type EdgeEnv = StoreEnv & KekEnv & {
  readonly SUPABASE_DB_URL: string;
  readonly BULKHEAD_HMAC_SECRET: string;
};

/**
 * What the function `backup` works with. Connections live as long as a call: a worker may be reused or not.
 *
 * @example
 * backupHandler(() => edgeDeps(readEnv(process.env, variables)));
 */
export function edgeDeps(env: EdgeEnv): SignedCallDeps {
  const withSql = async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
    const sql = connect(env.SUPABASE_DB_URL, { max: 1, applicationName: "bulkhead backup runs" });
    try {
      return await work(sql);
    } finally {
      await sql.end({ timeout: 1 });
    }
  };
  return {
    hmacSecret: env.BULKHEAD_HMAC_SECRET,
    now: () => new Date(),
    accept: (signature) =>
      withSql(async (sql) => {
        const [row] = await sql<{ is_new: boolean }[]>`
          select bulkhead.accept_call(${signature}) as is_new
        `;
        return row?.is_new === true;
      }),
    work: (action) => withSql((sql) => call(env, sql, action === "resume")),
  };
}

/** Lives as long as the worker. */
const worker: WorkerLife = { spent: 0 };

async function call(env: EdgeEnv, sql: Sql, resumeOnly: boolean): Promise<EdgeBackupOutcome> {
  const ledger = openEdgeLedger(sql);
  const opened = await open(env).catch(async (error) => {
    // A run that waits goes on waiting: bulkhead.resume_backup() asks again.
    if (!resumeOnly) await recordFailure(ledger, error, new Date());
    throw error;
  });
  try {
    return await edgeBackup({
      ...opened,
      ledger,
      tool: "bulkhead 0.1.0",
      now: () => new Date(),
      callAgain: async () => void await sql`select bulkhead.resume_backup()`,
      resumeOnly,
      worker,
    });
  } finally {
    await opened.source.close();
  }
}

async function open(env: EdgeEnv) {
  const store = openStore(env, "writer");
  const kek = await openKek(env);
  const keyring = await openKeyring({ store, kek });
  const source = await openSource(env.SUPABASE_DB_URL, { shared: false });
  return { store, keyring, source };
}
