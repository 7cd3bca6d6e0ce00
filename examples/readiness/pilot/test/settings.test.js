import assert from "node:assert/strict";
import test from "node:test";

test("a minute has sixty seconds", () => assert.equal(60_000 / 1000, 60));
