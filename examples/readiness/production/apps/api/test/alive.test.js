import assert from "node:assert/strict";
import test from "node:test";

test("a page has at most a hundred rows", () => assert.ok(50 <= 100));
