import type { Act } from "../stage.ts";
export const backup: Act = {
  name: "backup",
  title: "backup",
  run() {
    throw new Error("later");
  },
};
