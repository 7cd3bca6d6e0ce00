import assert from "node:assert/strict";
import test from "node:test";

test("a session lasts fifteen minutes", () => assert.equal(15 * 60, 900));
