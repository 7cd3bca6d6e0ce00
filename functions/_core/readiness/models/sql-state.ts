import { as, fieldOf, list, names } from "../../lint/sql-tree.ts";

/** Where something was last said. */
export type SqlPlace = { file: string; line: number };

export type SqlColumn = SqlPlace & {
  name: string;
  type: string;
  isNotNull: boolean;
  /** The table that a foreign key over this column leads to. */
  references: string | null;
};

export type SqlPolicy = SqlPlace & {
  name: string;
  command: "all" | "select" | "insert" | "update" | "delete";
  /** In lower case; `public` where none is named. */
  roles: string[];
  isPermissive: boolean;
  /** Trees of libpg-query, null where the policy has none. */
  using: unknown;
  check: unknown;
};

export type SqlTable = SqlPlace & {
  /** With its schema: `public.orders`. */
  name: string;
  columns: Map<string, SqlColumn>;
  /** Whether a file makes it; false where one only speaks of it. */
  isMade: boolean;
  /** Columns come from elsewhere too: LIKE, a parent, AS SELECT. */
  isOpen: boolean;
  /** The table that it is a part of. */
  parent: string | null;
  rowSecurity: SqlPlace | null;
  isForced: boolean;
  policies: Map<string, SqlPolicy>;
  /** The columns of each key and index, in order; an expression is "". */
  indexes: string[][];
  /** Role to privileges, `all` among them. */
  grants: Map<string, Set<string>>;
  owner: string | null;
};

/** Something that loses data or holds a lock while it works. */
export type SqlRisk = SqlPlace & {
  kind: "drop" | "truncate" | "delete" | "type" | "index";
  /** What is lost or locked: `table public.orders`. */
  of: string;
  table: string;
};

/** A database as its migrations leave it. */
export class SqlState {
  readonly tables = new Map<string, SqlTable>();
  readonly roles = new Map<string, SqlPlace & { bypasses: boolean; isSuper: boolean }>();
  readonly functions = new Set<string>();
  readonly risks: SqlRisk[] = [];
  /** Places that switch row security, or make policies, in a way that can't be followed. */
  readonly dynamic: SqlPlace[] = [];
  /** Roles that have lost a privilege on all tables of a schema, or by default: `public` to roles. */
  readonly revokedBySchema = new Map<string, Set<string>>();

  /** A table by its name, with or without schema. */
  table(name: string): SqlTable | null {
    return this.tables.get(qualified(name)) ?? null;
  }

  /** Apply one statement, as libpg-query shapes it. */
  apply(statement: unknown, place: SqlPlace): void {
    const [type, body] = Object.entries(isObject(statement) ? statement : {})[0] ?? [];
    switch (type) {
      case "CreateStmt":
        return this.#create(body, place);
      case "CreateTableAsStmt": {
        const relation = fieldOf(fieldOf(body, "into"), "rel");
        if (fieldOf(body, "objtype") !== "OBJECT_TABLE") return;
        if (isTemporary(relation)) return;
        const table = this.make(nameOf(relation), place);
        [table.isOpen, table.isMade] = [true, true];
        return;
      }
      case "AlterTableStmt":
        return this.#alter(body, place);
      case "CreatePolicyStmt":
      case "AlterPolicyStmt":
        return this.#policy(body, place, type === "AlterPolicyStmt");
      case "IndexStmt":
        return this.#index(body, place);
      case "DropStmt":
        return this.#drop(body, place);
      case "TruncateStmt":
        for (const one of list(fieldOf(body, "relations"))) {
          const name = nameOf(as(one, "RangeVar"));
          this.risk("truncate", `table ${name}`, name, place);
        }
        return;
      case "DeleteStmt": {
        const name = nameOf(fieldOf(body, "relation"));
        if (fieldOf(body, "whereClause") === undefined) {
          this.risk("delete", `every row of ${name}`, name, place);
        }
        return;
      }
      case "RenameStmt":
        return this.#rename(body);
      case "AlterObjectSchemaStmt": {
        const from = nameOf(fieldOf(body, "relation"));
        const table = this.tables.get(from);
        if (!table || fieldOf(body, "objectType") !== "OBJECT_TABLE") return;
        this.#move(table, `${String(fieldOf(body, "newschema"))}.${from.split(".").at(-1) ?? ""}`);
        return;
      }
      case "GrantStmt":
        return this.#grant(body);
      case "AlterDefaultPrivilegesStmt":
        return this.#grant(fieldOf(body, "action"), schemasOf(body));
      case "CreateRoleStmt":
      case "AlterRoleStmt":
        return this.#role(body, place);
      case "CreateFunctionStmt":
        this.functions.add(names(fieldOf(body, "funcname")).join("."));
        return;
    }
  }

  /** The table of that name, made when there is none. */
  make(name: string, place: SqlPlace): SqlTable {
    const known = this.tables.get(name);
    if (known) return known;
    const made: SqlTable = {
      ...place,
      name,
      isMade: false,
      columns: new Map(),
      isOpen: false,
      parent: null,
      rowSecurity: null,
      isForced: false,
      policies: new Map(),
      indexes: [],
      grants: new Map(),
      owner: null,
    };
    this.tables.set(name, made);
    return made;
  }

  /** A column as a migration tool writes it, or as a `ColumnDef` is read. */
  column(table: SqlTable, column: Omit<SqlColumn, "file" | "line">, place: SqlPlace): void {
    table.columns.set(column.name, { ...column, ...place });
  }

  #create(body: unknown, place: SqlPlace): void {
    const relation = fieldOf(body, "relation");
    if (isTemporary(relation)) return;
    const name = nameOf(relation);
    if (this.tables.get(name)?.isMade) return;
    const table = this.make(name, place);
    Object.assign(table, place, { isMade: true });
    const [parent] = list(fieldOf(body, "inhRelations"));
    if (parent) {
      table.parent = nameOf(as(parent, "RangeVar"));
      table.isOpen = true;
    }
    for (const element of list(fieldOf(body, "tableElts"))) {
      const column = as(element, "ColumnDef");
      if (column) this.#addColumn(table, column, place);
      const constraint = as(element, "Constraint");
      if (constraint) this.#constrain(table, constraint);
      if (as(element, "TableLikeClause")) table.isOpen = true;
    }
  }

  #addColumn(table: SqlTable, column: unknown, place: SqlPlace): void {
    const name = String(fieldOf(column, "colname") ?? "");
    const constraints = list(fieldOf(column, "constraints")).map((one) => as(one, "Constraint"));
    const types = constraints.map((one) => String(fieldOf(one, "contype")));
    const foreign = constraints.find((one) => fieldOf(one, "contype") === "CONSTR_FOREIGN");
    this.column(table, {
      name,
      type: names(fieldOf(fieldOf(column, "typeName"), "names")).at(-1) ?? "",
      isNotNull: types.includes("CONSTR_NOTNULL") || types.includes("CONSTR_PRIMARY"),
      references: foreign ? nameOf(fieldOf(foreign, "pktable")) : null,
    }, place);
    if (types.includes("CONSTR_PRIMARY") || types.includes("CONSTR_UNIQUE")) {
      table.indexes.push([name]);
    }
  }

  #constrain(table: SqlTable, constraint: unknown): void {
    const type = String(fieldOf(constraint, "contype"));
    if (type === "CONSTR_PRIMARY" || type === "CONSTR_UNIQUE") {
      const keys = names(fieldOf(constraint, "keys"));
      if (keys.length > 0) table.indexes.push(keys);
      if (type === "CONSTR_PRIMARY") {
        for (const key of keys) {
          const column = table.columns.get(key);
          if (column) column.isNotNull = true;
        }
      }
    }
    if (type === "CONSTR_FOREIGN") {
      const target = nameOf(fieldOf(constraint, "pktable"));
      const keys = names(fieldOf(constraint, "fk_attrs"));
      for (const key of keys) {
        const column = table.columns.get(key);
        // A key of several columns that holds the tenant leads to a row of the same tenant.
        if (column && (column.references === null || keys.length === 1)) column.references = target;
      }
    }
  }

  #alter(body: unknown, place: SqlPlace): void {
    if (fieldOf(body, "objtype") !== "OBJECT_TABLE") return;
    const table = this.tables.get(nameOf(fieldOf(body, "relation")));
    for (const one of list(fieldOf(body, "cmds"))) {
      const command = as(one, "AlterTableCmd");
      const name = String(fieldOf(command, "name") ?? "");
      const def = fieldOf(command, "def");
      const type = String(fieldOf(command, "subtype"));
      const target = table ?? this.make(nameOf(fieldOf(body, "relation")), place);
      // A table that no file makes: its columns are not known.
      if (!table) target.isOpen = true;
      const column = target.columns.get(name);
      switch (type) {
        case "AT_EnableRowSecurity":
          target.rowSecurity = place;
          break;
        case "AT_DisableRowSecurity":
          target.rowSecurity = null;
          break;
        case "AT_ForceRowSecurity":
          target.isForced = true;
          break;
        case "AT_NoForceRowSecurity":
          target.isForced = false;
          break;
        case "AT_AddColumn":
          if (as(def, "ColumnDef")) this.#addColumn(target, as(def, "ColumnDef"), place);
          break;
        case "AT_AddConstraint":
          if (as(def, "Constraint")) this.#constrain(target, as(def, "Constraint"));
          break;
        case "AT_SetNotNull":
          if (column) column.isNotNull = true;
          break;
        case "AT_DropNotNull":
          if (column) column.isNotNull = false;
          break;
        case "AT_DropColumn":
          this.risk("drop", `column ${target.name}.${name}`, target.name, place);
          target.columns.delete(name);
          target.indexes = target.indexes.filter((keys) => !keys.includes(name));
          break;
        case "AT_AlterColumnType":
          this.risk("type", `column ${target.name}.${name}`, target.name, place);
          break;
        case "AT_ChangeOwner":
          target.owner = roleOf(fieldOf(command, "newowner"));
          break;
      }
    }
  }

  #policy(body: unknown, place: SqlPlace, isAltered: boolean): void {
    const name = String(fieldOf(body, "policy_name") ?? "");
    const table = this.make(nameOf(fieldOf(body, "table")), place);
    const known = table.policies.get(name);
    if (isAltered && !known) return;
    const roles = list(fieldOf(body, "roles")).map((one) => roleOf(as(one, "RoleSpec")));
    const command = String(fieldOf(body, "cmd_name") ?? known?.command ?? "all");
    table.policies.set(name, {
      name,
      ...place,
      command: COMMANDS.find((one) => one === command) ?? "all",
      roles: roles.length > 0 ? roles : known?.roles ?? ["public"],
      isPermissive: isAltered ? known?.isPermissive ?? true : fieldOf(body, "permissive") === true,
      using: fieldOf(body, "qual") ?? known?.using ?? null,
      check: fieldOf(body, "with_check") ?? known?.check ?? null,
    });
  }

  #index(body: unknown, place: SqlPlace): void {
    const name = nameOf(fieldOf(body, "relation"));
    const keys = list(fieldOf(body, "indexParams")).map((one) =>
      String(fieldOf(as(one, "IndexElem"), "name") ?? "")
    );
    // A partial index helps no query for the others.
    if (fieldOf(body, "whereClause") === undefined) this.tables.get(name)?.indexes.push(keys);
    if (fieldOf(body, "concurrent") !== true) this.risk("index", `table ${name}`, name, place);
  }

  #drop(body: unknown, place: SqlPlace): void {
    const kind = String(fieldOf(body, "removeType"));
    for (const object of list(fieldOf(body, "objects"))) {
      const path = names(fieldOf(as(object, "List"), "items"));
      if (kind === "OBJECT_TABLE") {
        const name = qualified(path.join("."));
        this.risk("drop", `table ${name}`, name, place);
        this.tables.delete(name);
      } else if (kind === "OBJECT_POLICY") {
        const name = path.at(-1) ?? "";
        this.tables.get(qualified(path.slice(0, -1).join(".")))?.policies.delete(name);
      } else if (kind === "OBJECT_SCHEMA") {
        const schema = String(fieldOf(as(object, "String"), "sval") ?? "");
        this.risk("drop", `schema ${schema}`, `${schema}.*`, place);
        for (const name of [...this.tables.keys()]) {
          if (name.startsWith(`${schema}.`)) this.tables.delete(name);
        }
      }
    }
  }

  #rename(body: unknown): void {
    const table = this.tables.get(nameOf(fieldOf(body, "relation")));
    if (!table) return;
    const to = String(fieldOf(body, "newname") ?? "");
    const kind = fieldOf(body, "renameType");
    if (kind === "OBJECT_TABLE") this.#move(table, `${table.name.split(".")[0] ?? "public"}.${to}`);
    if (kind !== "OBJECT_COLUMN") return;
    const from = String(fieldOf(body, "subname") ?? "");
    const column = table.columns.get(from);
    if (!column) return;
    table.columns.delete(from);
    table.columns.set(to, { ...column, name: to });
    table.indexes = table.indexes.map((keys) => keys.map((key) => key === from ? to : key));
  }

  #move(table: SqlTable, to: string): void {
    this.tables.delete(table.name);
    table.name = to;
    this.tables.set(to, table);
  }

  #grant(body: unknown, schemas: readonly string[] = []): void {
    const isGrant = fieldOf(body, "is_grant") === true;
    const roles = list(fieldOf(body, "grantees")).map((one) => roleOf(as(one, "RoleSpec")));
    const privileges = list(fieldOf(body, "privileges")).map((one) =>
      String(fieldOf(as(one, "AccessPriv"), "priv_name") ?? "").toLowerCase()
    );
    const rights = privileges.length === 0 ? ["all"] : privileges;
    if (String(fieldOf(body, "objtype")) !== "OBJECT_TABLE") return;
    const isSchema = String(fieldOf(body, "targtype")) !== "ACL_TARGET_OBJECT";
    const objects = list(fieldOf(body, "objects"));
    const all = isSchema
      ? [...schemas, ...objects.map((one) => String(fieldOf(as(one, "String"), "sval") ?? ""))]
      : [];
    for (const schema of all) {
      const lost = this.revokedBySchema.get(schema) ?? new Set();
      this.revokedBySchema.set(schema, lost);
      if (rights.includes("all")) {
        for (const role of roles) {
          isGrant ? lost.delete(role) : lost.add(role);
        }
      }
    }
    const tables = isSchema
      ? [...this.tables.values()].filter(({ name }) => all.includes(name.split(".")[0] ?? ""))
      : objects.flatMap((one) => this.tables.get(nameOf(as(one, "RangeVar"))) ?? []);
    for (const table of tables) {
      for (const role of roles) {
        const held = table.grants.get(role) ?? new Set();
        table.grants.set(role, held);
        for (const right of rights) {
          if (isGrant) held.add(right);
          else if (right === "all") held.clear();
          else held.delete(right);
          if (!isGrant) held.add(`-${right}`);
        }
      }
    }
  }

  #role(body: unknown, place: SqlPlace): void {
    const name = String(fieldOf(body, "role") ?? "");
    const role = typeof fieldOf(body, "role") === "string" ? name : roleOf(fieldOf(body, "role"));
    const known = this.roles.get(role) ?? { ...place, bypasses: false, isSuper: false };
    for (const one of list(fieldOf(body, "options"))) {
      const option = as(one, "DefElem");
      const isOn = fieldOf(as(fieldOf(option, "arg"), "Boolean"), "boolval") === true;
      if (fieldOf(option, "defname") === "bypassrls") known.bypasses = isOn;
      if (fieldOf(option, "defname") === "superuser") known.isSuper = isOn;
    }
    this.roles.set(role, known);
  }

  /** What is lost or locked, where the table is not of the same file. */
  risk(kind: SqlRisk["kind"], of: string, table: string, place: SqlPlace): void {
    const known = this.tables.get(table);
    if (known?.isMade && known.file === place.file) return;
    this.risks.push({ ...place, kind, of, table });
  }
}

const COMMANDS = ["all", "select", "insert", "update", "delete"] as const;

/** A name with its schema. */
export function qualified(name: string): string {
  return name.includes(".") ? name : `public.${name}`;
}

function nameOf(relation: unknown): string {
  const schema = fieldOf(relation, "schemaname");
  const name = String(fieldOf(relation, "relname") ?? "");
  return typeof schema === "string" ? `${schema}.${name}` : qualified(name);
}

function isTemporary(relation: unknown): boolean {
  return fieldOf(relation, "relpersistence") === "t";
}

function roleOf(role: unknown): string {
  const type = String(fieldOf(role, "roletype") ?? "").replace("ROLESPEC_", "").toLowerCase();
  return String(fieldOf(role, "rolename") ?? type).toLowerCase();
}

function schemasOf(body: unknown): string[] {
  return list(fieldOf(body, "options")).flatMap((one) =>
    names(fieldOf(as(fieldOf(as(one, "DefElem"), "arg"), "List"), "items"))
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
