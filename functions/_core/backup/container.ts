/** The tables inside an object; docs/backup-format.md, section 4. */
export { decodeTables } from "./container-reader.ts";
export { encodeTables } from "./container-writer.ts";
