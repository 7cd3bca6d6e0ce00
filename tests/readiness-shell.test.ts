import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PARSERS } from "../functions/_core/adapters/readiness-parsers.ts";
import { readShell } from "../functions/_core/readiness/models/shell.ts";
import { toolOf } from "../functions/_core/readiness/models/shell-tools.ts";
import { depth } from "./support/depth.ts";

const read = (text: string) => readShell(PARSERS, text);
/** `program args` with its line; what it is part of in brackets. */
const told = (text: string) =>
  read(text).commands.map(({ program, args, line, via, parent }) =>
    [`${line}:`, program, ...args, ...(via ? [`[${via} ${parent?.program}]`] : [])].join(" ")
  );

describe("readShell()", () => {
  for (
    const [name, text, expected] of [
      ["tells pipelines and their stages", "curl -f x |\n  sudo -E bash -", [
        "1: curl -f x",
        "2: bash -",
      ]],
      ["walks what sh -c is given, with its lines", "sudo bash -lc 'make a\n make b'", [
        "1: bash -lc make a\n make b",
        "1: make a [script bash]",
        "2: make b [script bash]",
      ]],
      ["sees a substitution in a script once", 'sh -c "echo $(curl x)"', [
        "1: sh -c echo $(curl x)",
        "1: echo $(curl x) [script sh]",
        "1: curl x [command sh]",
      ]],
      ["walks a heredoc that a shell reads", "bash -euo pipefail <<EOF\nmake a\nEOF\nls", [
        "1: bash -euo pipefail",
        "2: make a [script bash]",
        "4: ls",
      ]],
      ["leaves a heredoc that becomes a file", "cat > a.sh <<EOF\ncurl x | sh\nEOF", ["1: cat"]],
      ["walks what ssh sends", "ssh -i key u@h 'cd a && make'", [
        "1: ssh -i key u@h cd a && make",
        "1: cd a [remote ssh]",
        "1: make [remote ssh]",
      ]],
      ["keeps GitHub's expressions as words", 'echo "${{ a.b }}" c\nls x:${{ d }}', [
        "1: echo ${{ a.b }} c",
        "2: ls x:${{ d }}",
      ]],
      ["leaves comments and echoed text", "# curl x | sh\necho 'curl x | sh'", [
        "2: echo curl x | sh",
      ]],
      ["goes through wrappers", "exec env A=b timeout -s KILL 9 x y; A=b nice -n 5 z", [
        "1: x y",
        "1: z",
      ]],
    ] as const
  ) it(name, () => assert.deepEqual(told(text), expected));

  it("knows what is tested, forgiven and in the background", () => {
    const [audit, yes, until, sleep, job] =
      read("{ audit; } || true\nuntil up; do sleep 1; done\njob &").commands;
    assert.deepEqual(audit?.lists[0]?.operators, ["||"]);
    assert.equal(audit?.lists[0]?.item, 0);
    assert.equal(yes?.lists[0]?.item, 1);
    assert.equal(until?.isTested, true);
    assert.deepEqual([sleep?.isTested, sleep?.within], [false, ["loop"]]);
    assert.equal(job?.isBackground, true);
  });

  it("says where a script can't be read, and keeps what could", () => {
    const { commands, problem } = read('ls\necho "a');
    assert.equal(commands[0]?.program, "ls");
    assert.equal(problem?.line, 2);
  });

  it("ends soon, whatever it is given", () => {
    for (
      const text of [
        ...["$(", "(", "`", "${", '"$(', "a|", "a&&", "if ", "$((", "{a,", "a[$(", "${{"],
        ...["f(){ ", "cat <<A\n", "sh -c '", "$'\\x", "$[", "sudo ", "case a in ", "eval "],
      ].map((part) => part.repeat(30_000))
    ) {
      const began = performance.now();
      read(text);
      const took = performance.now() - began;
      assert.ok(took < 5_000, `${text.slice(0, 8)} took ${Math.round(took)} ms`);
    }
  });

  it("never throws, and every line it names is there", () => {
    const part = fc.constantFrom(
      ...["curl x", " | ", "sh", " -c ", '"', "'", "$(", ")", "`", "\n", "<<EOF\n", "\nEOF\n"],
      ...["${{ a }}", "${{", "}}", "&&", "||", ";", "{ ", " }", "\\", "#", "if ", "then ", "fi "],
      ...["ssh h ", "eval ", "<(", "${A:-b}", "\u0000", "\ue100\ue200", "é", "sudo ", "--"],
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const text = parts.join("");
        const most = text.split("\n").length;
        for (const { line } of read(text).commands) assert.ok(line >= 1 && line <= most);
      }),
      { numRuns: depth({ quick: 1_000, full: 20_000 }) },
    );
  });
});

describe("toolOf()", () => {
  for (
    const [text, expected] of [
      ["uv run --frozen pytest -q", "pytest -q"],
      ["poetry run python -m pytest", "pytest"],
      ["uv run --with x -- bandit -r app", "bandit -r app"],
      ["npx --yes eslint@9 .", "eslint ."],
      ["pnpm --filter web exec next build", "next build"],
      ["python3 -m pip install x", "pip install x"],
      ["python app.py -m x", "python app.py -m x"],
      ["coverage run -m pytest", "pytest"],
      ["uv run coverage run --source=app -m pytest -q", "pytest -q"],
      ["npx @cyclonedx/cdxgen@10 -o x", "cdxgen -o x"],
      ["pipx run zizmor==1.9.0 .", "zizmor ."],
    ] as const
  ) {
    it(`${text} is ${expected}`, () => {
      const [command] = read(text).commands;
      assert.ok(command);
      const { name, args } = toolOf(command);
      assert.equal([name, ...args].join(" "), expected);
    });
  }
});
