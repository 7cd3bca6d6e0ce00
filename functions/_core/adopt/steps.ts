/** One migration file and the one that takes it back. */
export type Step = {
  /** Steps of one phase do not depend on each other's order beyond the list's. */
  phase: number;
  slug: string;
  /** One line: what it does. */
  title: string;
  /** The lock it takes, on what, for how long. */
  lock: string;
  /** Cannot run inside a transaction: statements run one by one. */
  alone: boolean;
  up: string[];
  down: string[];
  downAlone: boolean;
};

type Spec =
  & Pick<Step, "phase" | "slug" | "title" | "lock" | "up">
  & Partial<Pick<Step, "alone" | "down" | "downAlone">>;

/** A step with its defaults. */
export function step(spec: Spec): Step {
  const { up, down = [] } = spec;
  return { alone: false, downAlone: false, ...spec, up: up.map(retag), down: down.map(retag) };
}

/** A column may be called `$bulkhead$`: then the block around it ends with another tag. */
function retag(statement: string): string {
  const [head, foot] = ["do $bulkhead$\n", "\n$bulkhead$"];
  if (!statement.startsWith(head) || !statement.endsWith(foot)) return statement;
  const body = statement.slice(head.length, -foot.length);
  const tag = dollarTag(body, "bulkhead");
  return `do ${tag}\n${body}\n${tag}`;
}

/** A dollar quote that the text does not hold. */
export function dollarTag(body: string, base: string): string {
  let tag = base;
  while (body.includes(`$${tag}$`)) tag += "_";
  return `$${tag}$`;
}

/**
 * Statements in one block that waits for its locks again and again, each time no longer than lock_timeout, so
 * that writers who queue behind it wait no longer either.
 *
 * @example
 * locked(["alter table public.units add column if not exists tenant_id uuid"]);
 */
export function locked(statements: readonly string[], condition?: string): string {
  const body = statements.map((each) => `${each};`);
  const lines = condition === undefined ? body.map((line) => indent(line, 12)) : [
    `            if ${condition} then`,
    ...body.map((line) => indent(line, 16)),
    "            end if;",
  ];
  return [
    "do $bulkhead$",
    "begin",
    "    for attempt in 1..20 loop",
    "        begin",
    ...lines,
    "            exit;",
    "        exception when lock_not_available or deadlock_detected then",
    "            if attempt = 20 then",
    "                raise;",
    "            end if;",
    "            perform pg_catalog.pg_sleep(0.1 * attempt);",
    "        end;",
    "    end loop;",
    "end",
    "$bulkhead$",
  ].join("\n");
}

/** Every line moved to the right. */
export function indent(text: string, by: number): string {
  return text.split("\n").map((line) => line === "" ? line : " ".repeat(by) + line).join("\n");
}
