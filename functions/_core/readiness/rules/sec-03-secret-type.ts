import { settingsOf } from "../models/settings.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { isSecretName } from "../secret-names.ts";

/** A secret in a plain str is printed by every repr, log and error page that shows the settings. */
export const secretType: Rule = {
  id: "SEC-03",
  name: "secret-type",
  area: "secrets",
  severity: "p2",
  confidence: "high",
  section: 2,
  title: "Secrets are typed so that no repr or log prints them",
  remedy: "type the fields SecretStr, and call get_secret_value() where the value is used",
  async check(repository) {
    const { settings } = await settingsOf(repository);
    const typed = settings.filter((one) =>
      one.language === "python" && one.style === "typed" && isSecretName(one.name)
    );
    const evidence: Evidence[] = [];
    const plain = typed.filter(({ annotation }) => /\bstr\b/.test(annotation ?? "str"));
    for (const key of new Set(plain.map(({ file, owner }) => `${file}\0${owner}`))) {
      const own = plain.filter(({ file, owner }) => `${file}\0${owner}` === key);
      const [first] = own;
      if (!first) continue;
      const names = own.map(({ name }) => name);
      evidence.push({
        kind: "weakness",
        file: first.file,
        line: first.line,
        message: `${names.length} of ${first.owner ?? "the settings"} typed str: ${
          names.slice(0, 8).join(", ")
        }${names.length > 8 ? ", …" : ""}`,
      });
    }
    for (const { name, file, line, annotation } of typed) {
      if (/\bSecret(Str|Bytes)\b/.test(annotation ?? "")) {
        evidence.push({ kind: "strength", file, line, message: `${name} is typed ${annotation}` });
      }
    }
    return conclude(evidence, {
      status: typed.length === 0 ? "not-applicable" : "unknown",
      summary: typed.length === 0
        ? "no typed settings of Python hold a secret"
        : "the types of the secrets are not known",
    });
  },
};
