import { gap, strength, unknown, weakness } from "../evidence.ts";
import { textAt, value } from "../models/compose-service.ts";
import { type Dockerfile, unreadDockerfiles } from "../models/dockerfiles.ts";
import { containers } from "../models/kubernetes.ts";
import { productionImages } from "../models/images.ts";
import { running } from "../models/running.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";
import { text } from "../yaml-node.ts";

/** Tags that mean another image tomorrow. */
const FLOATING =
  /^(latest|lts|stable|current|edge|nightly|main|master|dev|rolling|mainline|slim|alpine|bookworm|bullseye|trixie|lts-(slim|alpine)|slim-\w+|[a-z]+)$/;

/** What its makers stopped mending, by the head of the tag. */
const ENDED: readonly (readonly [RegExp, RegExp])[] = [
  [/(^|\/)node$/, /^(\d|1[0-9]|21)(\.|-|$)|-(stretch|jessie|buster)/],
  [/(^|\/)python$/, /^(2(\.|-|$)|3\.[0-8](\.|-|$))|-(stretch|jessie|buster)/],
  [/(^|\/)debian$/, /^(wheezy|jessie|stretch|buster|[789]|10)([.-]|$)/],
  [/(^|\/)ubuntu$/, /^(trusty|xenial|bionic|1[0-8]\.\d\d)/],
  [/(^|\/)alpine$/, /^(2\.|3\.([0-9]|1[0-7])(\.|$))/],
  [/(^|\/)postgres$/, /^(9|1[0-2])(\.|-|$)/],
  [/(^|\/)centos$/, /./],
  [/(^|\/)golang$/, /^1\.(\d|1\d|20)(\.|-|$)/],
  [/(^|\/)ruby$/, /^(2|3\.0)(\.|-|$)/],
  [/(^|\/)php$/, /^([57]|8\.0)(\.|-|$)/],
];

/** The same Dockerfile must make the same image next month. */
export const pinnedImages: Rule = {
  id: "DEP-02",
  name: "pinned-images",
  area: "deployment",
  severity: "p2",
  confidence: "high",
  section: 5,
  title: "Base images and services are pinned to a version that is still mended",
  remedy: "name a version in the tag, better its digest too, and let a bot raise it",
  check(repository) {
    const evidence: Evidence[] = [];
    const files = new Set(productionImages(repository).map(({ dockerfile }) => dockerfile));
    for (const one of files) evidence.push(...ofDockerfile(one));
    evidence.push(...ofServices(repository), ...ofPods(repository));
    for (const { file, reason } of unreadDockerfiles(repository)) {
      evidence.push(unknown(file, null, `it can't be read: ${reason}`));
    }
    return conclude(evidence, { status: "not-applicable", summary: "no image is named" });
  },
};

function ofDockerfile({ path, stages }: Dockerfile): Evidence[] {
  return stages.flatMap(({ parent, base, line }) => {
    if (parent || base.image === "scratch") return [];
    if (base.image === null) {
      return [unknown(path, line, `the base ${base.written} is an argument without a default`)];
    }
    return [judge(path, line, base.image)];
  });
}

function ofServices(repository: Repository): Evidence[] {
  return running(repository).flatMap(({ service, isBuilt }) => {
    const place = value(service, "image");
    if (isBuilt || !place) return [];
    const image = textAt(service, "image");
    if (image === null) {
      const written = text(place.node) ?? "";
      // A tag that the deploy gives is the deploy's to pin.
      return [unknown(place.file, place.node.line, `the image ${written} is given from outside`)];
    }
    const one = judge(place.file, place.node.line, image);
    const isDefault = one.kind === "gap" && (text(place.node) ?? "").includes("$");
    // The deploy may well name a version; this is what runs when it doesn't.
    return isDefault ? [{ ...one, kind: "weakness", severity: "p2" }] : [one];
  });
}

/** Images of pods; kustomize and the deploy often put the tag in the place of another. */
function ofPods(repository: Repository): Evidence[] {
  const isRewritten = repository.matching(/(^|\/)kustomization\.ya?ml$/).some(({ text: whole }) =>
    /^images:/m.test(whole ?? "")
  );
  return containers(repository).flatMap(({ file, line, image }) => {
    if (image === null) return [];
    if (isRewritten || /[${]/.test(image)) {
      return [unknown(file, line, `the tag of ${image} is set elsewhere`)];
    }
    return [judge(file, line, image)];
  });
}

function judge(path: string, line: number, image: string): Evidence {
  const more = { isProduction: true };
  const [name = "", digest] = image.split("@");
  const tagAt = name.lastIndexOf(":");
  const hasTag = tagAt > name.lastIndexOf("/");
  const repositoryName = hasTag ? name.slice(0, tagAt) : name;
  const tag = hasTag ? name.slice(tagAt + 1) : "";
  const ended = ENDED.find(([of, which]) => of.test(repositoryName) && which.test(tag));
  if (ended) return gap(path, line, `${image} is no longer mended`, { ...more, severity: "p1" });
  if (digest?.startsWith("sha256:")) return strength(path, line, `${repositoryName} by its digest`);
  if (tag === "" || tag === "latest") {
    const what = tag === "" ? "has no tag" : "is latest";
    return gap(path, line, `${image} ${what}`, { ...more, severity: "p1" });
  }
  if (FLOATING.test(tag)) return weakness(path, line, `${image} names no version`, more);
  return strength(path, line, `${image}; a digest would hold it still`);
}
