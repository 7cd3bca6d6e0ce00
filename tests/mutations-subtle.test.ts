import { subtleBenignChanges } from "./mutations/benign.ts";
import { subtleMutations } from "./mutations/subtle.ts";
import { mutationSuite } from "./mutations/suite.ts";

mutationSuite(17, { mutations: subtleMutations, benign: subtleBenignChanges });
