/**
 * Text as it may stand in GitHub-flavoured Markdown, tables included.
 *
 * @example
 * `| ${markdownText(name)} |`
 */
export function markdownText(value: string): string {
  return value.replace(/\s+/g, " ").replace(/[\\`*_<>|[\]#]/g, "\\$&");
}

/** A name as code, whatever backticks are in it. */
export function markdownCode(value: string): string {
  const flat = value.replace(/\s+/g, " ");
  return flat.includes("`") ? `\`\` ${flat.replace(/`{2,}/g, "`")} \`\`` : `\`${flat}\``;
}
