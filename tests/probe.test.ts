import { probeSuite } from "./support/probe-suite.ts";

probeSuite(17);
