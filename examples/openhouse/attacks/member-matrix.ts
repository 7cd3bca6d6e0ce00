import { person } from "./identities.ts";
import { attack } from "./member.ts";
import { DELETE_MESSAGE, INSERT_MESSAGE, READ_MESSAGES, UPDATE_MESSAGE } from "./statements.ts";
import type { Attack, Person, Step } from "./types.ts";

/** Every role of a member, with every verb, at another tenant. */
export function matrix(): Attack[] {
  const verbs: [string, string, Step][] = [
    ["read", "reads messages", READ_MESSAGES],
    ["insert", "inserts a message", INSERT_MESSAGE],
    ["update", "rewrites a message", UPDATE_MESSAGE],
    ["delete", "deletes a message", DELETE_MESSAGE],
  ];
  const members: Person[] = ["owner", "manager", "agent"];
  return members.flatMap((who) =>
    verbs.map(([verb, doing, step]) =>
      attack({
        id: `${who}-${verb}`,
        threat: verb,
        title: `${who} ${doing} of another tenant`,
        as: person(who),
        step,
        ...(verb === "read" ? { reads: true } : {}),
      })
    )
  );
}
