import type { Repository } from "../repository.ts";
import { nodeSettings } from "./settings-node.ts";
import { pythonSettings } from "./settings-python.ts";

/**
 * What a setting is when the environment says nothing. `required`: the application doesn't start. `empty`: "" or none.
 * `generated`: another at each start.
 */
export type Fallback =
  | { kind: "required" }
  | { kind: "empty" }
  | { kind: "text"; text: string }
  | { kind: "other"; value: string }
  | { kind: "generated" }
  | { kind: "unknown" };

/** A value that the application takes from its environment, or that is written where such values are. */
export type Setting = {
  language: "python" | "node";
  /** Of the field or the constant; of the variable where it has no other. */
  name: string;
  /** The variable of the environment, null for a constant that no variable sets. */
  variable: string | null;
  file: string;
  line: number;
  /** The class it is a field of. */
  owner: string | null;
  /** `typed`: a field of a settings class or schema; `read`: os.environ or process.env; `constant`: written out. */
  style: "typed" | "read" | "constant";
  annotation: string | null;
  fallback: Fallback;
  /** Whether only development or tests have it: by the file, the class, or the branch it stands in. */
  isDevelopment: boolean;
};

/** Code that stops the start where settings are not as they must be. */
export type Guard = {
  file: string;
  line: number;
  /** The settings that it looks at, in capitals. */
  names: ReadonlySet<string>;
  /** `placeholder`: it tells known values or weak ones apart; `empty`: only that something is there. */
  kind: "placeholder" | "empty";
};

/** A class or schema that declares settings. */
export type SettingsClass = {
  name: string;
  file: string;
  line: number;
  language: "python" | "node";
};

export type Settings = { settings: Setting[]; guards: Guard[]; classes: SettingsClass[] };

/**
 * The settings of the back ends, and the guards around them.
 *
 * @example
 * const { settings } = await settingsOf(repository);
 */
export function settingsOf(repository: Repository): Promise<Settings> {
  return repository.once("settings", async () => {
    const [python, node] = [await pythonSettings(repository), nodeSettings(repository)];
    return {
      settings: [...python.settings, ...node.settings],
      guards: [...python.guards, ...node.guards],
      classes: [...python.classes, ...node.classes],
    };
  });
}

/** The guard that looks at a setting, the strictest one. */
export function guardOf(setting: Setting, guards: readonly Guard[]): Guard | null {
  const own = guards.filter(({ names }) =>
    names.has(setting.name.toUpperCase()) ||
    (setting.variable !== null && names.has(setting.variable.toUpperCase()))
  );
  return own.find(({ kind }) => kind === "placeholder") ?? own[0] ?? null;
}

/** Files that only development or tests load. */
export function isDevelopmentFile(path: string): boolean {
  return /(^|\/)(dev|development|local|test|tests|testing|ci)(_settings|\.settings)?\.(py|[cm]?[jt]s)$|(settings|config)[._-](dev|development|local|test|testing)\.(py|[cm]?[jt]s)$|(^|\/)(conftest|seed|seeds?_\w+)\.(py|[cm]?[jt]s)$/i
    .test(path);
}

/** A class or a branch that only development or tests have, by what its name or condition says. */
export function isDevelopmentName(name: string): boolean {
  return /(^|_)(dev|development|local|test|testing|ci)(_|$)/i.test(
    name.replace(/([a-z])([A-Z])/g, "$1_$2"),
  );
}
