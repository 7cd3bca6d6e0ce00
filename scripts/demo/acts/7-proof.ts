import type { Act } from "../stage.ts";
export const proof: Act = {
  name: "proof",
  title: "proof",
  run() {
    throw new Error("later");
  },
};
