import { envExamples } from "../models/env-examples.ts";
import { guardOf, settingsOf } from "../models/settings.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { isPlaceholder, isSecretName, roleOf } from "../secret-names.ts";

/** What an example file says is copied as it stands; something must notice. */
export const placeholderGuard: Rule = {
  id: "SEC-06",
  name: "placeholder-guard",
  area: "secrets",
  severity: "p1",
  confidence: "medium",
  section: 2,
  title: "Known placeholder values of secrets are refused outside of development",
  remedy: "add a validator that raises for the placeholder values, or for fewer than 32 characters",
  async check(repository) {
    const { settings, guards } = await settingsOf(repository);
    const secrets = settings.filter(({ name, isDevelopment }) =>
      isSecretName(name) && !isDevelopment
    );
    const evidence: Evidence[] = [];
    const shown = new Set<string>();
    const add = (name: string, file: string, line: number, isHere: boolean) => {
      const known = secrets.find((one) => one.name.toUpperCase() === name || one.variable === name);
      if (!known || shown.has(name)) return;
      shown.add(name);
      if (guardOf(known, guards)?.kind === "placeholder") return;
      evidence.push({
        kind: roleOf(name) === "other" ? "weakness" : "gap",
        ...(roleOf(name) === "signing" || roleOf(name) === "administrator"
          ? {}
          : { severity: "p2" as const }),
        file,
        line,
        message: `${name} comes with a placeholder ${
          isHere ? "in the code" : "here"
        }, and nothing refuses it`,
        isProduction: true,
      });
    };
    for (const { name, fallback, file, line } of secrets) {
      if (fallback.kind === "text" && isPlaceholder(fallback.text)) {
        add(name.toUpperCase(), file, line, true);
      }
    }
    for (const { name, value, file, line } of envExamples(repository)) {
      if (value !== "" && isPlaceholder(value)) add(name, file, line, false);
    }
    for (const guard of guards) {
      if (guard.kind !== "placeholder") continue;
      const own = secrets.filter((one) => guardOf(one, [guard]));
      const names = [...new Set(own.map(({ name }) => name))];
      if (names.length === 0) continue;
      evidence.push({
        kind: "strength",
        file: guard.file,
        line: guard.line,
        message: `refuses weak or known values of ${names.slice(0, 6).join(", ")}`,
      });
    }
    return conclude(evidence, {
      status: "not-applicable",
      summary: "no secret comes with a placeholder value",
    });
  },
};
