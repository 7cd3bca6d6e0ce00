import type { Act } from "../stage.ts";
export const alarm: Act = {
  name: "alarm",
  title: "alarm",
  run() {
    throw new Error("later");
  },
};
