/**
 * The words of a name, in capitals: `JWT_SECRET`, `jwt-secret` and `jwtSecret` are the same.
 *
 * @example
 * segments("jwtSecretKey"); // ["JWT", "SECRET", "KEY"]
 */
export function segments(name: string): string[] {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase().split(/[^A-Z0-9]+/)
    .filter((one) => one !== "");
}
