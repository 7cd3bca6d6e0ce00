import type { Cases } from "../support/readiness-cases.ts";

const revision = (id: string, down: string, more = "") =>
  `"""x"""\nrevision: str = "${id}"\ndown_revision: Union[str, None] = ${down}\nbranch_labels = None\n${more}\ndef upgrade(): pass\n`;
const at = (name: string) => `api/alembic/versions/${name}.py`;

export const cases: Cases = {
  rule: "DB-11",
  cases: {
    "two heads": {
      files: {
        [at("a")]: revision("a1", "None"),
        [at("b")]: revision("b1", '"a1"'),
        [at("c")]: revision("c1", '"a1"'),
      },
      status: "fail",
      severity: "p1",
      at: [`${at("b")}:3`, `${at("c")}:3`],
    },
    "two heads that a merge joins": {
      files: {
        [at("a")]: revision("a1", "None"),
        [at("b")]: revision("b1", '"a1"'),
        [at("c")]: revision("c1", '"a1"'),
        [at("d")]: revision("d1", '("b1", "c1")'),
        "api/alembic/script.py.mako": "down_revision = ${repr(down_revision)}\n",
      },
      status: "pass",
      says: /4 revisions, one head \(d1\)/,
    },
    "a parent that is missing, and an id that two have": {
      files: {
        [at("a")]: revision("a1", '"zz99"'),
        [at("b")]: revision("b1", '"a1"'),
        [at("c")]: revision("b1", '"a1"'),
      },
      status: "fail",
      says: /zz99/,
    },
    "two trees of their own have a head each": {
      files: {
        "a/versions/1.py": revision("a1", "None"),
        "b/versions/1.py": revision("b1", "None"),
      },
      status: "pass",
    },
    "branches that are labelled are meant": {
      files: {
        [at("a")]: revision("a1", "None", 'branch_labels = ("core",)'),
        [at("b")]: revision("b1", "None"),
      },
      status: "unknown",
    },
    "no Alembic": { files: { "app.py": "revision = 1\n" }, status: "not-applicable" },
  },
};
