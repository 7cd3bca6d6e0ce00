import { gap, quote, strength, unknown, weakness } from "../evidence.ts";
import { type Download, downloadOf } from "../models/downloads.ts";
import { dockerfiles } from "../models/dockerfiles.ts";
import { type Command, isShell, type Shell } from "../models/shell.ts";
import { mayDownload, type ShellSource, shellSources } from "../models/shell-sources.ts";
import type { Repository } from "../repository.ts";
import { conclude, type Evidence, type Rule } from "../rule.ts";

/** Programs that come without a package manager to check them need somebody else who does. */
export const unverifiedDownloads: Rule = {
  id: "CI-04",
  name: "unverified-downloads",
  area: "ci",
  severity: "p1",
  confidence: "medium",
  section: 4,
  title: "What is downloaded and run is compared with a checksum or a signature first",
  remedy: "write the SHA-256 down beside the version, and check it before anything runs the file",
  check(repository) {
    const evidence = shellSources(repository).flatMap((source) => judge(repository, source));
    evidence.push(...added(repository));
    return conclude(evidence, {
      status: "not-applicable",
      summary: "nothing downloads a program to run it",
    });
  },
};

function judge(repository: Repository, source: ShellSource): Evidence[] {
  const { file, shell, kind } = source;
  const downloads = shell.commands.flatMap((command) => downloadOf(command) ?? []);
  if (downloads.length === 0) return [];
  const check = shell.commands.find(verifies);
  const manual = kind === "script" || kind === "make" ? { severity: "p2" } as const : {};
  const evidence = downloads.flatMap((download): Evidence[] => {
    const use = useOf(download, shell);
    if (!use) return [];
    const { command, url } = download;
    const what = quote(url ?? download.file ?? "what it downloads", 60);
    if (check) {
      const hosts = new Set(downloads.map((one) => hostOf(one.url)));
      const sums = downloads.find((one) => /sha256|checksum|\.asc|\.sig/i.test(one.url ?? ""));
      const note = sums && hosts.size === 1 ? ", though by sums from the same host" : "";
      return [strength(file, check.line, `${what} is checked by ${check.program}${note}`)];
    }
    const message = `${what} is ${use === "run" ? "run" : "unpacked"} without a check`;
    return use === "run"
      ? [gap(file, command.line, message, manual)]
      : [weakness(file, command.line, message, { severity: "p2" })];
  });
  return shell.problem && evidence.length === 0 && mayDownload(repository, source)
    ? [unknown(file, shell.problem.line, "the shell here can't be read")]
    : evidence;
}

function verifies({ program, args }: Command): boolean {
  if (/^(sha(1|224|256|384|512)sum|shasum|b2sum|md5sum)$/.test(program)) {
    return args.some((one) => /^-[a-z]*c[a-z]*$|^--check/.test(one)) || args.length > 0;
  }
  if (program === "gpg" || program === "gpgv" || program === "gpg2") {
    return program === "gpgv" ||
      args.some((one) => one === "--verify" || one.startsWith("--verify"));
  }
  if (program === "openssl") return args[0] === "dgst" || args[0] === "sha256";
  if (program === "gh") return args[0] === "attestation" && args[1] === "verify";
  return /^(cosign|minisign|signify|slsa-verifier|rsign)$/.test(program) &&
    args.some((one) => /verify|^-V/.test(one));
}

/** What becomes of a download later in the same script. */
function useOf(download: Download, shell: Shell): "run" | "unpacked" | null {
  const { command, file } = download;
  const at = shell.commands.indexOf(command);
  if (file === null) {
    const pipe = command.pipes[0];
    const unpacks = pipe &&
      shell.commands.some((one) =>
        /^(tar|bsdtar|unzip|cpio)$/.test(one.program) &&
        one.pipes.some(({ id, stage }) => id === pipe.id && stage > pipe.stage)
      );
    return unpacks ? "unpacked" : null;
  }
  if (/\.(json|ya?ml|csv|txt|sql|md|html?|xml|pem|crt|gpg|asc|key|ttf|png|svg)$/i.test(file)) {
    return null;
  }
  const name = file.split("/").at(-1) ?? file;
  let use: "unpacked" | null = null;
  for (const later of shell.commands.slice(at + 1)) {
    const { program, args, words } = later;
    const isNamed = args.some((one) => one === file || one.endsWith(`/${name}`) || one === name);
    const isItself = (words[0]?.value ?? "").endsWith(`/${name}`) || words[0]?.value === file;
    if (isItself) return "run";
    if (!isNamed) continue;
    if (isShell(program) || /^(source|\.|python[0-9.]*|node|perl|ruby)$/.test(program)) {
      return "run";
    }
    if (program === "chmod" && args.some((one) => /x|[1357]/.test(one) && one !== file)) {
      return "run";
    }
    if (/^(dpkg|rpm|installer|msiexec)$/.test(program)) return "run";
    if (/^(apt|apt-get|yum|dnf|apk)$/.test(program) && args.includes("install")) return "run";
    if (/^(mv|cp|install)$/.test(program) && args.some((one) => /(^|\/)s?bin(\/|$)/.test(one))) {
      return "run";
    }
    if (/^(tar|bsdtar|unzip|gunzip)$/.test(program)) use = "unpacked";
  }
  return use;
}

function hostOf(url: string | null): string {
  return /^https?:\/\/([^/]+)/i.exec(url ?? "")?.[1] ?? "";
}

/** ADD of a URL: BuildKit compares it where `--checksum` says with what. */
function added(repository: Repository): Evidence[] {
  return dockerfiles(repository).flatMap(({ path, stages }) =>
    stages.flatMap(({ instructions }) =>
      instructions.flatMap(({ keyword, arguments: text, flags, line }): Evidence[] => {
        if (keyword !== "ADD" || !/^https?:\/\//i.test(text)) return [];
        const [url = "", target = ""] = text.split(/\s+/);
        if (flags.some(({ name }) => name === "checksum")) {
          return [strength(path, line, `${quote(url, 60)} is compared with its checksum`)];
        }
        const name = url.split("/").at(-1) ?? "";
        const isRun = instructions.some((one) =>
          one.keyword === "RUN" &&
          [target, name].some((file) => file.length > 1 && one.arguments.includes(file))
        );
        const message = `${quote(url, 60)} is added without a checksum`;
        return [
          isRun
            ? gap(path, line, `${message} and run`)
            : weakness(path, line, message, { severity: "p2" }),
        ];
      })
    )
  );
}
