import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeWhole } from "../scripts/cli/write-whole.ts";

const home = mkdtempSync(join(tmpdir(), "bulkhead-whole-"));
after(() => rmSync(home, { recursive: true, force: true }));

test("writeWhole() writes over what is there, and leaves nothing beside it", async () => {
  await writeWhole(join(home, "a.json"), "one, and longer");
  await writeWhole(join(home, "a.json"), "two");
  assert.equal(readFileSync(join(home, "a.json"), "utf8"), "two");
  assert.deepEqual(readdirSync(home), ["a.json"]);
});

test("writeWhole() leaves nothing of what it can't put in its place", async () => {
  mkdirSync(join(home, "folder"));
  await assert.rejects(writeWhole(join(home, "folder"), "text"), { code: "EISDIR" });
  await assert.rejects(writeWhole(join(home, "no/such/file"), "text"), { code: "ENOENT" });
  assert.deepEqual(readdirSync(home).toSorted(), ["a.json", "folder"]);
});
