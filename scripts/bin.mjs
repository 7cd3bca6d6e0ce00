#!/usr/bin/env node
// Node 20 does not read TypeScript by itself: tsx is registered here, so that `npx bulkhead` works from any folder.
import { fileURLToPath } from "node:url";
import { register } from "tsx/esm/api";

register({ tsconfig: fileURLToPath(new URL("../tsconfig.json", import.meta.url)) });
const { main } = await import("./cli.ts");
await main();
