import { attempt, type Definition } from "./attempt.ts";
import type { Attack } from "./types.ts";

type Short = Omit<Definition, "layer">;

/** An attempt with a signed-in user's token; the harm is a changed row of the victim. */
export const attack = (definition: Short): Attack =>
  attempt({ layer: "authenticated", ...definition });

/** The same, where seeing rows is the harm. */
export const reading = (definition: Omit<Short, "reads">): Attack =>
  attack({ ...definition, reads: true });
