import process from "node:process";

/** One line of the doctor. `info` is worth knowing and decides nothing; `command` is for a shell, or SQL with a `;`. */
export type Finding = {
  name: string;
  status: "pass" | "fail" | "unknown" | "info";
  detail: string;
  command: string | null;
};

/** Something is as it should be. */
export const pass = (name: string, detail: string): Finding => ({
  name,
  status: "pass",
  detail,
  command: null,
});
/** Something is missing or wrong; the command puts it right. */
export const fail = (name: string, detail: string, command: string): Finding => ({
  name,
  status: "fail",
  detail,
  command,
});
/** It could not be looked at; the command, where there is one, makes that possible. */
export const unknown = (
  name: string,
  detail: string,
  command: string | null = null,
): Finding => ({ name, status: "unknown", detail, command });
/** Worth knowing. */
export const info = (name: string, detail: string, command: string | null = null): Finding => ({
  name,
  status: "info",
  detail,
  command,
});

const MARK = { pass: "✓", fail: "✗", unknown: "?", info: "·" };

/**
 * The checklist for a terminal.
 *
 * @example
 * process.stdout.write(renderFindings([pass("database", "Postgres 17.6")]));
 */
export function renderFindings(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ name, status, detail, command }) => [
    `${MARK[status]} ${name}: ${detail}`,
    ...(command === null ? [] : [`    ${command.endsWith(";") ? "SQL" : "run"}: ${command}`]),
  ]);
  const count = (status: Finding["status"]) =>
    findings.filter((finding) => finding.status === status).length;
  return `${lines.join("\n")}\n\n${count("pass")} pass, ${count("fail")} fail, ${
    count("unknown")
  } unknown\n`;
}

/** The variables that a check reads, empty ones left out. */
export const environment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => value ? [[name, value] as const] : []),
  );
