import { gap, strength, unknown, weakness } from "../evidence.ts";
import { isIgnored } from "../models/dockerignore.ts";
import { lineage, unreadDockerfiles, words } from "../models/dockerfiles.ts";
import { type Image, productionImages } from "../models/images.ts";
import type { Repository, RepositoryFile } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** `COPY . .` takes the .env of whoever builds it into the image. */
export const dockerignore: Rule = {
  id: "SEC-09",
  name: "dockerignore",
  area: "secrets",
  severity: "p1",
  confidence: "high",
  section: 2,
  title: "An image that copies its whole context leaves .env files out",
  remedy: "add `.env*` and `!.env.example` to the .dockerignore of the build's context",
  check(repository) {
    const evidence = productionImages(repository).flatMap((image) => judge(repository, image));
    for (const { file, reason } of unreadDockerfiles(repository)) {
      evidence.push(unknown(file, null, `it can't be read: ${reason}`));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no Dockerfile" });
  },
};

function judge(repository: Repository, image: Image): Evidence[] {
  const { dockerfile, stage } = image;
  const final = new Set(lineage(stage));
  const copies = dockerfile.stages.flatMap((one) =>
    one.instructions.flatMap(({ keyword, arguments: written, exec, flags, line }) => {
      if ((keyword !== "COPY" && keyword !== "ADD") || flags.some(({ name }) => name === "from")) {
        return [];
      }
      const sources = (exec ?? words(written)).slice(0, -1);
      const isWhole = sources.some((source) => /^\.?\/?\*?$/.test(source));
      return isWhole ? [{ line, isFinal: final.has(one) }] : [];
    })
  );
  const path = dockerfile.path;
  const [first] = copies.toSorted((a, b) => Number(b.isFinal) - Number(a.isFinal));
  if (!first) return [strength(path, stage.line, "it copies what it names, not the whole context")];
  const { file, place } = ignoreOf(repository, image);
  const more = { isProduction: true, severity: first.isFinal ? "p1" : "p2" } as const;
  if (!file) {
    return [gap(path, first.line, `copies its whole context, and there is no ${place}`, more)];
  }
  if (file.text === null) return [unknown(file.path, null, "it could not be read")];
  const text = file.text;
  if (!isIgnored(text, ".env")) {
    return [gap(path, first.line, `copies its whole context, and ${file.path} lets .env in`, more)];
  }
  const others = [".env.local", ".env.production"].filter((one) => !isIgnored(text, one));
  if (others.length > 0) {
    const message = `${file.path} leaves .env out, not ${others.join(" and ")}`;
    return [weakness(file.path, null, message, { isProduction: true, severity: "p2" })];
  }
  return [strength(file.path, null, "leaves .env files out")];
}

/** The file's own, then that of the context; where nothing says what is sent, that of its folder or of the root. */
function ignoreOf(
  repository: Repository,
  { dockerfile, context }: Image,
): { file: RepositoryFile | null; place: string } {
  const own = repository.file(`${dockerfile.path}.dockerignore`);
  const folder = dockerfile.path.split("/").slice(0, -1).join("/");
  const at = (one: string) => `${one === "" ? "" : `${one}/`}.dockerignore`;
  const places = context === null ? [at(folder), at("")] : [at(context)];
  const found = own ?? places.map((one) => repository.file(one)).find((one) => one !== null) ??
    null;
  return { file: found, place: places[0] ?? ".dockerignore" };
}
