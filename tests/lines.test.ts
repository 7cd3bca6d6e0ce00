import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { lineAt, lineIn, lineStarts } from "../functions/_core/lines.ts";

test("lineAt() and lineIn() count the line ends before an offset, wherever it is", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "\n", "\r\n", "ä", "😀"), maxLength: 40 });
  fc.assert(fc.property(text, fc.nat({ max: 60 }), (text, offset) => {
    const line = text.slice(0, offset).split("\n").length;
    assert.equal(lineAt(text, offset), line);
    assert.equal(lineIn(lineStarts(text), offset), line);
  }));
});
