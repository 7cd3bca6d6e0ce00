// needs: postgres-15
import { probeSuite } from "./support/probe-suite.ts";

probeSuite(15);
