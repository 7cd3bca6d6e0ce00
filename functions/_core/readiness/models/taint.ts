import { type Expression, expressionsOf } from "./workflow-parts.ts";

/** Texts that anybody who may open an issue, a pull request or a comment writes. */
const WRITTEN =
  /^github\.(head_ref|event(\.(issue|pull_request|discussion)\.(title|body)|\.pull_request\.head\.(ref|label|repo\.(default_branch|description|homepage))|\.(comment|review|review_comment)\.body|\.pages\..*page_name|\.commits\..*(message|author\.(name|email))|\.head_commit\.(message|author\.(name|email)|committer\.(name|email))|\.workflow_run\.(head_branch|display_title|head_commit\.(message|author\.(name|email))|pull_requests\..*head\.ref))?)$/;
/** Texts of people who may write here, or of callers. */
const CLOSER = /^github\.event\.(inputs\.|client_payload)/;
/** Functions and comparisons answer true or false, whatever they are given. */
const ANSWERS = /^(contains|startswith|endswith|hashfiles)$/i;

/** Who writes what an expression puts into a script. */
export type Taint = "stranger" | "caller" | null;

/**
 * Who may choose what an expression becomes. `inputs` are the names of inputs that strangers reach, `texts` those
 * that take any text.
 *
 * @example
 * taintOf("github.event.issue.title || 'none'"); // "stranger"
 */
export function taintOf(
  expression: string,
  { inputs = NONE, texts = NONE }: { inputs?: ReadonlySet<string>; texts?: ReadonlySet<string> } =
    {},
): Taint {
  let taint: Taint = null;
  for (const context of contextsThatShow(expression)) {
    const name = context.replace(/\.\*/g, ".x");
    const isWhole = name === "github" || name === "github.event";
    if (isWhole ? /tojson|format|join/i.test(expression) : WRITTEN.test(name)) return "stranger";
    const input = /^(?:github\.event\.)?inputs\.(.+)$/.exec(name)?.[1];
    if (input !== undefined && inputs.has(input)) return "stranger";
    if (input !== undefined ? texts.has(input) : CLOSER.test(name)) taint = "caller";
  }
  return taint;
}

const NONE: ReadonlySet<string> = new Set();

/** The contexts of an expression whose text can come out of it. */
function contextsThatShow(expression: string): string[] {
  const plain = dropAnswers(expression);
  const whole: Expression[] = expressionsOf(`\${{${plain}}}`);
  return whole.flatMap(({ contexts }) => contexts);
}

/** The expression without calls and comparisons that answer true or false. */
function dropAnswers(expression: string): string {
  let text = expression;
  // Calls, from the inside out; as many as a person writes.
  for (let step = 0; step < 20; step++) {
    const call = /([A-Za-z]+)\s*\(([^()]*)\)/.exec(text);
    if (!call) break;
    const [whole, name = "", args = ""] = call;
    const shown = ANSWERS.test(name) ? "true" : ` ${args.replaceAll(",", " ; ")} `;
    text = text.slice(0, call.index) + shown + text.slice(call.index + whole.length);
  }
  const operand = String.raw`[A-Za-z_][\w.*\-\[\]']*|'[^']*'|\d+`;
  const compared = new RegExp(`(?:${operand})\\s*(?:[!=]=|[<>]=?)\\s*(?:${operand})`, "g");
  return text.replace(compared, "true").replace(/!\s*[A-Za-z_][\w.*-]*/g, "true")
    // `a && b` shows a only where it is empty or false.
    .replace(/[A-Za-z_][\w.*-]*\s*&&/g, "true &&");
}
