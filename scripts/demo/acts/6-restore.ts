import type { Act } from "../stage.ts";
export const restore: Act = {
  name: "restore",
  title: "restore",
  run() {
    throw new Error("later");
  },
};
