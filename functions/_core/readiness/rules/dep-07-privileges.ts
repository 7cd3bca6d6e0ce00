import { gap, strength, unknown, weakness } from "../evidence.ts";
import { compose, type Project } from "../models/compose.ts";
import { layered, type Service, textAt, value, volumes } from "../models/compose-service.ts";
import { containers } from "../models/kubernetes.ts";
import { withoutCompose } from "../models/running.ts";
import { conclude, type Evidence, type Rule, type Severity } from "../rule.ts";
import { items, text } from "../yaml-node.ts";

const WIDE = /^(ALL|SYS_ADMIN|SYS_MODULE|SYS_PTRACE|SYS_RAWIO|DAC_READ_SEARCH|BPF)$/;

/** Each of these is the host itself: whoever gets into the container has it. */
export const privileges: Rule = {
  id: "DEP-07",
  name: "privileges",
  area: "deployment",
  severity: "p0",
  confidence: "high",
  section: 5,
  title: "No container has the host's privileges, its Docker socket or its network",
  remedy: "take the privilege away; give a proxy the socket through a read-only proxy of its API",
  check(repository) {
    const evidence: Evidence[] = [];
    const { projects, unread } = compose(repository);
    const seen = new Set<string>();
    for (
      const project of projects.toSorted((a, b) => Number(b.isProduction) - Number(a.isProduction))
    ) {
      const found = project.services.flatMap((service) => judge(service, project));
      for (const one of found) {
        const key = `${one.file}:${one.line}`;
        if (!seen.has(key)) evidence.push(one);
        seen.add(key);
      }
      const [first] = project.services;
      if (found.length === 0 && first && project.isProduction) {
        const message = `none of its ${project.services.length} services asks for more`;
        evidence.push(strength(first.file, first.line, message));
      }
    }
    for (const { isPrivileged, file, line, name } of containers(repository)) {
      evidence.push(
        isPrivileged
          ? gap(file, line, `${name} is privileged`)
          : strength(file, line, `${name} is not privileged`),
      );
    }
    for (const file of unread) evidence.push(unknown(file, null, "it can't be read as YAML"));
    return conclude(evidence, withoutCompose(repository, { asks: false }));
  },
};

function judge(service: Service, { isProduction }: Project): Evidence[] {
  const { name } = service;
  const evidence: Evidence[] = [];
  const add = (file: string, line: number, message: string, severity: Severity) => {
    const more = { severity, isProduction: true };
    if (isProduction) {
      evidence.push((severity === "p2" ? weakness : gap)(file, line, message, more));
    } // On a developer's machine a proxy has the socket, and a browser the host's memory.
    else if (severity === "p0") {
      evidence.push(
        weakness(file, line, `${message}, in development`, { ...more, severity: "p2" }),
      );
    }
  };
  const privileged = value(service, "privileged");
  if (privileged && textAt(service, "privileged") === "true") {
    add(privileged.file, privileged.node.line, `${name} is privileged`, "p0");
  }
  for (const volume of volumes(service)) {
    const { source, file, line, isReadOnly } = volume;
    if (/docker\.sock$/.test(source)) {
      const severity = isReadOnly ? "p2" : "p0";
      const how = isReadOnly ? "read-only, which its API doesn't know" : "for writing";
      add(file, line, `${name} has the Docker socket ${how}`, severity);
    } else if (source === "/" && !isReadOnly) {
      add(file, line, `${name} has the host's whole file system`, "p0");
    }
  }
  for (const key of ["network_mode", "pid", "ipc", "userns_mode"] as const) {
    const found = value(service, key);
    if (found && textAt(service, key) === "host") {
      const severity = key === "pid" ? "p0" : "p1";
      add(found.file, found.node.line, `${name} has ${key}: host`, severity);
    }
  }
  for (const { file, node } of layered(service, "cap_add")) {
    for (const item of items(node)) {
      const capability = (text(item) ?? "").replace(/^CAP_/, "");
      if (WIDE.test(capability)) {
        add(file, item.line, `${name} has the capability ${capability}`, "p0");
      }
    }
  }
  return evidence;
}
