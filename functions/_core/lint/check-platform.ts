import type { Report } from "./finding.ts";
import { placeOf } from "./place.ts";
import { at, type Program } from "./program.ts";
import { child, children, isMember, keyName, type Node, word } from "./syntax.ts";

/** Rule as-platform: every deliberate way across tenants, with its reason. */
export function checkPlatform({ modules }: Program): Report[] {
  return modules.flatMap((module) =>
    placeOf(module.path) === "test" ? [] : module.calls.flatMap((call) => {
      const callee = child(call, "callee");
      const name = isMember(callee) ? keyName(callee, "property") : word(callee, "name");
      if (name !== "asPlatform" || !callee) return [];
      const reason = reasonOf(children(call, "arguments"));
      const shown = isMember(callee) ? child(callee, "property") ?? callee : callee;
      return [
        at(
          module,
          shown,
          "lint/as-platform",
          reason === null
            ? "asPlatform() goes across tenants"
            : `asPlatform() goes across tenants: ${reason}`,
        ),
      ];
    })
  );
}

function reasonOf(args: readonly Node[]): string | null {
  for (const arg of args) {
    if (arg.type === "StringLiteral") return word(arg, "value");
    for (const property of children(arg, "properties")) {
      const value = child(property, "value");
      if (keyName(property) === "reason" && value?.type === "StringLiteral") {
        return word(value, "value");
      }
    }
  }
  return null;
}
