import type { Repository } from "../repository.ts";
import { ciOf } from "./ci-commands.ts";
import type { Command } from "./shell.ts";
import { shellSources } from "./shell-sources.ts";

/** A command that CI or the build of an image runs, where it stands. */
export type Placed = { command: Command; file: string; line: number; where: "ci" | "image" };

/**
 * The commands of CI and of images, which are those that must install what the lockfile says.
 *
 * @example
 * builtCommands(repository).filter(({ command }) => command.program === "npm");
 */
export function builtCommands(repository: Repository): Placed[] {
  return repository.once("built commands", () => {
    const seen = new Set<string>();
    const found: Placed[] = [];
    const add = (one: Placed) => {
      const place = `${one.file}:${one.line}:${one.command.text}`;
      if (!seen.has(place)) found.push(one);
      seen.add(place);
    };
    for (const { command, file, line } of ciOf(repository).commands) {
      add({ command, file, line, where: "ci" });
    }
    for (const { file, kind, shell } of shellSources(repository)) {
      if (kind !== "image") continue;
      for (const command of shell.commands) {
        add({ command, file, line: command.line, where: "image" });
      }
    }
    return found;
  });
}
