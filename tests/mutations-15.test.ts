// needs: postgres-15
import { mutationSuite } from "./mutations/suite.ts";

mutationSuite(15);
