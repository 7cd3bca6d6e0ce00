import { isServiceKeyName } from "../../lint/names.ts";
import { above, child, keyName, type Node, word } from "../../lint/syntax.ts";
import { clientChain, isClient, isServerOnly } from "../models/script-graph.ts";
import { environmentReads, scripts } from "../models/scripts.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { isSecretName } from "../secret-names.ts";

/** Where a config names values that the bundler writes into the code. */
const EXPOSING: readonly [RegExp, ReadonlySet<string>][] = [
  [/(^|\/)next\.config\.[cm]?[jt]s$/, new Set(["env", "publicRuntimeConfig"])],
  [/(^|\/)vite\.config\.[cm]?[jt]s$/, new Set(["define"])],
  [/(^|\/)nuxt\.config\.[cm]?[jt]s$/, new Set(["public"])],
  [/(^|\/)app\.config\.[cm]?[jt]s$/, new Set(["extra"])],
];

/** Code that a browser loads must not lean on the server's secrets. */
export const clientSecrets: Rule = {
  id: "SEC-11",
  name: "client-secrets",
  area: "secrets",
  severity: "p0",
  confidence: "medium",
  section: 3,
  title: "Client code reaches no module that reads a secret",
  remedy:
    'move the secret to a module with import "server-only", and hand its results to the client',
  check(repository) {
    const all = scripts(repository);
    const evidence: Evidence[] = [];
    let readers = 0;
    for (const module of all.mentioning(/process\.env|import\.meta\.env/)) {
      const { path: file, text } = module;
      const context = repository.file(file)?.context;
      if (context === "test" || context === "docs") continue;
      const exposing = EXPOSING.find(([path]) => path.test(file))?.[1];
      const secrets = environmentReads(module, all).filter(({ name }) =>
        (isSecretName(name) || isServiceKeyName(name)) &&
        !/^(NEXT_PUBLIC_|VITE_|EXPO_PUBLIC_|PUBLIC_)/.test(name)
      );
      const [first] = secrets;
      if (!first) continue;
      if (exposing) {
        for (const { name, line, node } of secrets) {
          if (!isCopied(node, exposing)) continue;
          const message = `${name} is copied into the code that every browser gets`;
          evidence.push({ kind: "gap", file, line, message });
        }
        continue;
      }
      readers++;
      if (isServerOnly(text, file) && !isClient(text, file)) {
        const message = `${first.name} is read where no bundle for browsers comes by`;
        evidence.push({ kind: "strength", file, line: first.line, message });
        continue;
      }
      const chain = clientChain(file, repository);
      if (!chain) {
        const message = `${first.name} is read where no client code leads`;
        evidence.push({ kind: "strength", file, line: first.line, message });
      } else {
        evidence.push({
          kind: "gap",
          // A name without the public prefix is undefined in the browser: it fails there, it doesn't leak.
          severity: "p2",
          file,
          line: first.line,
          message: `${first.name} is read in code that a browser loads: ${chain.join(" → ")}`,
        });
      }
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: readers === 0 ? "no script reads a secret from the environment" : "",
    });
  },
};

function isCopied(node: Node, fields: ReadonlySet<string>): boolean {
  const owner = above(
    node,
    (one) => one.type === "ObjectProperty" && fields.has(keyName(one) ?? ""),
  );
  if (!owner) return false;
  const value = child(owner, "value");
  // `env: { HAS_KEY: Boolean(process.env.KEY) }` tells nobody the key.
  const call = above(node, (one) => one === owner || one.type === "CallExpression");
  const name = word(child(call, "callee"), "name");
  return value !== null && name !== "Boolean" && node.parent?.type !== "UnaryExpression";
}
