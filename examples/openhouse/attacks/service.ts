import { attempt, type Definition } from "./attempt.ts";
import { service } from "./identities.ts";
import type { Attack } from "./types.ts";

type Short = Omit<Definition, "layer" | "as"> & Partial<Pick<Definition, "layer" | "as">>;

/** A back end that named its own tenant, as it should, and then writes elsewhere. */
export const attack = (definition: Short): Attack =>
  attempt({ layer: "service_role", as: service(), ...definition });
