import type { FunctionsClient } from "@supabase/functions-js";
import type { PostgrestFilterBuilder, PostgrestQueryBuilder } from "@supabase/postgrest-js";
import type { StorageClient } from "@supabase/storage-js";
import type { SupabaseClient } from "@supabase/supabase-js";
import type { TenantScopedClient } from "../service/tenant-scoped-client.ts";

/** The part of `Database` that a tenant client reaches. */
type PublicOf<Database> = Database extends { public: infer Public } ? Public : never;
type TablesOf<Database> = PublicOf<Database> extends { Tables: infer Tables } ? Tables : never;
type ViewsOf<Database> = PublicOf<Database> extends { Views: infer Views } ? Views : never;
type FunctionsOf<Database> = PublicOf<Database> extends { Functions: infer Functions } ? Functions
  : never;

type Relationship = {
  foreignKeyName: string;
  columns: string[];
  isOneToOne?: boolean;
  referencedRelation: string;
  referencedColumns: string[];
};
type GeneratedTable = {
  Row: Record<string, unknown>;
  Insert: Record<string, unknown>;
  Update: Record<string, unknown>;
  Relationships: Relationship[];
};
type GeneratedView = { Row: Record<string, unknown>; Relationships: Relationship[] };
type GeneratedFunction = { Args: Record<string, unknown> | never; Returns: unknown };
type GeneratedSchema = {
  Tables: Record<string, GeneratedTable>;
  Views: Record<string, GeneratedView>;
  Functions: Record<string, GeneratedFunction>;
};

type Scoped<Relations, Column extends string> = {
  [T in keyof Relations & string]: Relations[T] extends { Row: Record<Column, unknown> } ? T
    : never;
}[keyof Relations & string];

/** The tables of `Database` that carry the tenant column; `from` takes them and {@link TenantView} alone. */
export type TenantTable<Database, Column extends string = "tenant_id"> = Scoped<
  TablesOf<Database>,
  Column
>;

/** The views of `Database` that show the tenant column. */
export type TenantView<Database, Column extends string = "tenant_id"> = Scoped<
  ViewsOf<Database>,
  Column
>;

/** What queries are typed against: global tables are not there, so embedding one is a type error. */
type TenantSchema<Database, Column extends string> = {
  Tables: Pick<TablesOf<Database>, TenantTable<Database, Column> & keyof TablesOf<Database>>;
  Views: Pick<ViewsOf<Database>, TenantView<Database, Column> & keyof ViewsOf<Database>>;
  Functions: FunctionsOf<Database>;
};

/** A table whose rows need no tenant on insert and can't change it on update. */
type Stamped<Table extends GeneratedTable, Column extends string> = {
  Row: Table["Row"];
  Insert:
    & Omit<Table["Insert"], Column>
    & Partial<Pick<Table["Insert"], Column & keyof Table["Insert"]>>;
  Update: Omit<Table["Update"], Column>;
  Relationships: Table["Relationships"];
};

type Rest = { PostgrestVersion: "12" };
type Verbs = "select" | "insert" | "update" | "upsert" | "delete";

/** `from(name)` for every tenant table and view, with supabase-js's own result types. */
export type TenantTables<Database, Column extends string = "tenant_id"> =
  TenantSchema<Database, Column> extends infer Schema extends GeneratedSchema ?
      & {
        [T in keyof Schema["Tables"] & string]: Pick<
          PostgrestQueryBuilder<Rest, Schema, Stamped<Schema["Tables"][T], Column>, T>,
          Verbs
        >;
      }
      & {
        [V in keyof Schema["Views"] & string]: Pick<
          PostgrestQueryBuilder<Rest, Schema, Schema["Views"][V], V>,
          "select"
        >;
      }
    : never;

/** The arguments of a function; the tenant's is stamped, so it may be left out under its usual names. */
type Arguments<Args, Column extends string> = [Args] extends [never] ? Record<never, never>
  : Omit<Args, Column | `p_${Column}`> & Partial<Pick<Args, (Column | `p_${Column}`) & keyof Args>>;

type ResultRow<Returns> = Returns extends (infer Row extends Record<string, unknown>)[] ? Row
  : Returns extends Record<string, unknown> ? Returns
  : never;

/** `rpc(name, args, options)`, with supabase-js's own result types. */
export type TenantRpc<Database, Column extends string = "tenant_id"> =
  TenantSchema<Database, Column> extends infer Schema extends GeneratedSchema
    ? <Name extends keyof Schema["Functions"] & string>(
      name: Name,
      args?: Arguments<Schema["Functions"][Name]["Args"], Column>,
      options?: { head?: boolean; get?: boolean; count?: "exact" | "planned" | "estimated" },
    ) => PostgrestFilterBuilder<
      Rest,
      Schema,
      ResultRow<Schema["Functions"][Name]["Returns"]>,
      Schema["Functions"][Name]["Returns"],
      Name,
      null,
      "RPC"
    >
    : never;

/** `storage.from(bucket)` with the methods that are confined to the tenant's folder. */
export type TenantStorage = {
  from(bucket: string): Pick<
    ReturnType<StorageClient["from"]>,
    | "upload"
    | "update"
    | "uploadToSignedUrl"
    | "createSignedUploadUrl"
    | "createSignedUrl"
    | "createSignedUrls"
    | "getPublicUrl"
    | "download"
    | "info"
    | "exists"
    | "list"
    | "move"
    | "copy"
    | "remove"
  >;
};

/** Without a generated `Database`: any name, and columns of unknown type. */
type UntypedTables = Record<
  string,
  Pick<PostgrestQueryBuilder<Rest, GeneratedSchema, GeneratedTable, string>, Verbs>
>;
type UntypedRpc = (
  name: string,
  args?: Record<string, unknown>,
  options?: { head?: boolean; get?: boolean; count?: "exact" | "planned" | "estimated" },
) => PostgrestFilterBuilder<
  Rest,
  GeneratedSchema,
  Record<string, unknown>,
  unknown,
  string,
  null,
  "RPC"
>;

/** The types of a client's surface. */
export type SurfaceOf<Database, Column extends string = "tenant_id"> = {
  tables: unknown extends Database ? UntypedTables : TenantTables<Database, Column>;
  rpc: unknown extends Database ? UntypedRpc : TenantRpc<Database, Column>;
  storage: TenantStorage;
  functions: Pick<FunctionsClient, "invoke">;
  platform: SupabaseClient<Database>;
};

/** The service role confined to one tenant, typed from `Database`. */
export type TenantClient<Database, Column extends string = "tenant_id"> = TenantScopedClient<
  SurfaceOf<Database, Column>
>;
