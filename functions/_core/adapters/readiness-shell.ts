import { type Assignment, forEachChild, parse, type SyntaxNode, type Word } from "unbash";
import type {
  ShellBlock,
  ShellCommand,
  ShellRedirect,
  ShellScript,
  ShellWord,
} from "../readiness/parsers.ts";

/** More than any hand writes; a script beyond them is said to be unreadable, not read in part. */
const MOST_TEXT = 500_000;
const MOST_COMMANDS = 20_000;
const MOST_DEPTH = 400;
const MOST_OPEN = 200;

/** What surrounds a command on the way down. */
type Place = Pick<ShellCommand, "pipes" | "lists" | "within" | "isTested" | "isBackground"> & {
  parent: number | null;
  via: ShellCommand["via"];
  /** Where offsets lie: a script decoded from escaped backticks has none of its own. */
  origin: number | null;
  depth: number;
};

const BLOCKS: Partial<Record<SyntaxNode["type"], ShellBlock>> = {
  If: "if",
  For: "loop",
  ArithmeticFor: "loop",
  Select: "loop",
  While: "loop",
  Case: "case",
  Function: "function",
  Subshell: "subshell",
  BraceGroup: "group",
  TestCommand: "test",
  ArithmeticCommand: "test",
  Coproc: "coproc",
};
const EXPANDED: ReadonlySet<string> = new Set([
  ...["SimpleExpansion", "ParameterExpansion", "CommandExpansion", "ArithmeticExpansion"],
  ...["ProcessSubstitution", "Glob", "ExtendedGlob", "BraceExpansion"],
]);

/**
 * Parse a script of sh or bash into its simple commands.
 *
 * @example
 * parseShell("curl -f https://example.com | sh").commands.length; // 2
 * @throws SyntaxError where it is beyond what a person writes.
 */
export function parseShell(text: string): ShellScript {
  if (text.length > MOST_TEXT) throw new SyntaxError("the script is too long to be read");
  if (openParentheses(text) > MOST_OPEN) throw new SyntaxError("the script is nested too deeply");
  const commands: ShellCommand[] = [];
  let problem: ShellScript["problem"] = null;
  let ids = 0;

  const wordOf = (word: Word, place: Place): ShellWord => {
    const found = { variables: [] as string[], isStatic: true };
    look(word, found, 0);
    const { text: written, value, pos } = word;
    return { text: written, value, ...found, start: place.origin ?? pos };
  };

  const walk = (node: SyntaxNode, place: Place): void => {
    if (place.depth > MOST_DEPTH) throw new SyntaxError("the script is nested too deeply");
    const deeper: Place = { ...place, depth: place.depth + 1 };
    const block = BLOCKS[node.type];
    if (block) deeper.within = [block, ...place.within];
    switch (node.type) {
      case "Script": {
        const [error] = node.errors ?? [];
        if (error) problem ??= { message: error.message, start: place.origin ?? error.pos };
        break;
      }
      case "Statement":
        if (node.background) deeper.isBackground = true;
        break;
      case "AndOr": {
        const id = ids++;
        const operators = [...node.operators];
        for (const [item, one] of node.commands.entries()) {
          walk(one, { ...deeper, lists: [{ id, item, operators }, ...place.lists] });
        }
        return;
      }
      case "Pipeline": {
        const id = ids++;
        const stages = node.commands.length;
        const isTested = place.isTested || node.prefixes.some(({ type }) => type === "Negation");
        for (const [stage, one] of node.commands.entries()) {
          walk(one, { ...deeper, isTested, pipes: [{ id, stage, stages }, ...place.pipes] });
        }
        return;
      }
      case "If":
      case "Elif":
      case "While":
        for (const part of children(node)) {
          walk(part, { ...deeper, isTested: place.isTested || part === node.clause });
        }
        return;
      case "CommandExpansion":
      case "ProcessSubstitution":
      case "ArithmeticCommandExpansion": {
        const { script } = node;
        if (!script) return;
        walk(script, {
          ...deeper,
          via: node.type === "ProcessSubstitution" ? "process" : "command",
          // What a substitution holds runs in a list of its own.
          ...{ pipes: [], lists: [], isTested: false, isBackground: false },
          origin: place.origin ?? (script.source === undefined ? null : node.pos),
        });
        return;
      }
      case "Command": {
        if (commands.length >= MOST_COMMANDS) {
          throw new SyntaxError("the script has too many commands");
        }
        const { pipes, lists, within, isTested, isBackground, parent, via } = place;
        const words = [node.name, ...node.args].flatMap((one) => one ? [one] : []);
        const number = commands.push({
          words: words.map((one) =>
            one.type === "Word" ? wordOf(one, place) : {
              ...assignedWord(one, (word) => wordOf(word, place)),
              start: place.origin ?? one.pos,
            }
          ),
          assignments: node.prefix.flatMap((one) =>
            one.type !== "Assignment" ? [] : [{
              name: one.name,
              value: one.value.type === "Word" ? wordOf(one.value, place) : null,
            }]
          ),
          redirects: node.redirects.map((one): ShellRedirect => ({
            operator: one.operator,
            descriptor: one.descriptor?.type === "FileDescriptor" ? one.descriptor.value : null,
            target: one.type === "HereDoc" || !one.target ? null : wordOf(one.target, place),
            heredoc: one.type === "HereDoc"
              ? { text: one.body.text, start: place.origin ?? one.body.pos }
              : null,
          })),
          start: place.origin ?? node.pos,
          end: place.origin ?? node.end,
          ...{ pipes, lists, within, isTested, isBackground, parent, via },
        }) - 1;
        for (const part of children(node)) walk(part, { ...deeper, parent: number });
        return;
      }
      default:
    }
    for (const part of children(node)) walk(part, deeper);
  };

  walk(parse(text), {
    ...{ pipes: [], lists: [], within: [], isTested: false, isBackground: false },
    ...{ parent: null, via: null, origin: null, depth: 0 },
  });
  return { commands, problem };
}

/** `export A=b`, where the shell's grammar sees an assignment and a reader a word. */
function assignedWord({ text, value }: Assignment, read: (word: Word) => ShellWord): ShellWord {
  if (value.type !== "Word") {
    return { text, value: text, isStatic: true, variables: [], start: value.pos };
  }
  const word = read(value);
  return { ...word, text, value: text.slice(0, text.indexOf("=") + 1) + word.value };
}

/** How many are open at once: the parser's time grows with the square of it, so it is asked first. */
function openParentheses(text: string): number {
  let [open, most] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === "(") most = Math.max(most, ++open);
    else if (letter === ")" && open > 0) open--;
  }
  return most;
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  forEachChild(node, (child) => found.push(child));
  return found;
}

/** Which variables a word expands; a substitution's own commands are not its word. */
function look(node: SyntaxNode, found: { variables: string[]; isStatic: boolean }, depth: number) {
  if (depth > MOST_DEPTH) throw new SyntaxError("the script is nested too deeply");
  if (EXPANDED.has(node.type)) found.isStatic = false;
  if (node.type === "SimpleExpansion") found.variables.push(node.text.slice(1));
  if (node.type === "ParameterExpansion") found.variables.push(node.parameter);
  if (node.type === "CommandExpansion" || node.type === "ProcessSubstitution") return;
  for (const part of children(node)) look(part, found, depth + 1);
}
