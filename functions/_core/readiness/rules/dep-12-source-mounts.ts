import { gap, strength } from "../evidence.ts";
import { join, volumes } from "../models/compose-service.ts";
import { running, unreadCompose, withoutCompose } from "../models/running.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

const CODE = /\.(py|[cm]?[jt]sx?|go|rb|php|java|rs)$/;

/** What was tested is the image; a mount puts whatever lies on the host in its place. */
export const sourceMounts: Rule = {
  id: "DEP-12",
  name: "source-mounts",
  area: "deployment",
  severity: "p1",
  confidence: "high",
  section: 5,
  title: "Production runs the code of its image, not of a directory of the host",
  remedy: "move the mount to the override that only development uses",
  check(repository) {
    const evidence: Evidence[] = [];
    for (const { service, project, isBuilt, kind } of running(repository)) {
      if (kind === "store" || kind === "proxy") continue;
      const mounts = volumes(service).filter(({ kind: one }) => one === "bind");
      const code = mounts.filter(({ source }) =>
        holdsCode(repository, join(project.directory, source))
      );
      for (const { file, line, source, target } of code) {
        const message = `${service.name} has ${source} of the host at ${target}`;
        evidence.push(gap(file, line, message, { isProduction: true }));
      }
      if (code.length === 0 && isBuilt) {
        evidence.push(
          strength(service.file, service.line, `${service.name} runs what its image holds`),
        );
      }
    }
    evidence.push(...unreadCompose(repository));
    return conclude(
      evidence,
      withoutCompose(repository, { asks: false, nothing: "compose builds no image here" }),
    );
  },
};

/** Whether a directory of the repository, not a file, holds code. */
function holdsCode(repository: Repository, folder: string | null): boolean {
  if (folder === null || repository.file(folder)) return false;
  const head = folder === "" ? "" : `${folder}/`;
  return repository.files.some(({ path, context }) =>
    path.startsWith(head) && context === "prod" && CODE.test(path)
  );
}
