/** One encrypted object; docs/backup-format.md, sections 2 and 3. */
export { sealObject, type SealTools } from "./seal.ts";
export { openObject, type OpenOptions, peekHeader } from "./open.ts";
