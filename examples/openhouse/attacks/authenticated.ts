import { forgeries } from "./member-forgeries.ts";
import { matrix } from "./member-matrix.ts";
import { escalations } from "./member-powers.ts";
import { reads } from "./member-reads.ts";
import { writes } from "./member-writes.ts";
import type { Attack } from "./types.ts";

/** Attempts with a signed-in user's token. */
export const authenticated: Attack[] = [
  ...matrix(),
  ...reads,
  ...forgeries,
  ...writes,
  ...escalations,
];
