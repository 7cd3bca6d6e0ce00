/**
 * A document of SARIF 2.1.0 with one run.
 *
 * @example
 * sarif({ tool: { driver: { name: "bulkhead-lint", rules } }, results });
 */
export function sarif(run: Record<string, unknown>): Record<string, unknown> {
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [run],
  };
}

/** The path of a file as an address. */
export function uriOf(file: string): string {
  return file.split("/").map(encodeURIComponent).join("/");
}

/**
 * The name of a rule as viewers show it.
 *
 * @example
 * pascalCase("secret-default"); // "SecretDefault"
 */
export function pascalCase(name: string): string {
  return name.split(/[-_]/).map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}
