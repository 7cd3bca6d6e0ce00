/** One result of a run: how many of `subject` fail the check, or that nobody could look. */
export type Seen = {
  subject: string;
  status: "fail" | "unknown";
  observed: number;
  isCritical: boolean;
};
/** What happens at one moment. */
export type Step =
  | { kind: "run"; afterMinutes: number; seen: Seen[] }
  | { kind: "mute"; subject: string; minutes: number }
  | { kind: "unmute"; subject: string }
  | { kind: "acknowledge"; subject: string }
  | { kind: "send" };

/** An incident as the model keeps it. */
export type Incident = {
  subject: string;
  status: "fail" | "unknown";
  isOpen: boolean;
  isCritical: boolean;
  observed: number;
  relapses: number;
  breaches: number;
  cleanRuns: number;
  messages: number;
  resolvedAt: number;
  told: { at: number; observed: number; isCritical: boolean };
  acknowledgedAt: number | undefined;
};
type Kind = "opened" | "worsened" | "repeated" | "resolved";

/** Times are minutes. */
const HOUR = 60;

/**
 * What docs/alerting.md says of incidents, in as few words as possible, for one check: written from the page and not
 * from the SQL, so that the two can differ.
 */
export class IncidentModel {
  now = 0;
  readonly all: Incident[] = [];
  readonly mutes = new Map<string, number>();
  /** What waits in each thread: what a person would read of each incident. */
  readonly waiting = { fail: new Map<Incident, Kind>(), unknown: new Map<Incident, Kind>() };
  /** What was read, in order. */
  readonly read: string[] = [];

  step(step: Step): void {
    if (step.kind === "run") return this.run(step);
    if (step.kind === "send") return this.send();
    const key = step.subject;
    const newest = this.all.findLast((i) => i.subject === key && i.status === "fail");
    if (newest === undefined) return;
    if (step.kind === "mute") this.mutes.set(key, this.now + step.minutes);
    if (step.kind === "unmute") this.mutes.delete(key);
    if (step.kind === "acknowledge" && newest.isOpen) newest.acknowledgedAt = this.now;
  }

  private run({ afterMinutes, seen }: Step & { kind: "run" }): void {
    this.now += afterMinutes;
    const news = new Map<Incident, Kind>();
    const failing = new Set<Incident>();
    const first = seen.filter((s, n) =>
      seen.findIndex((o) => o.subject === s.subject && o.status === s.status) === n
    );
    for (const result of first) {
      const incident = this.openIncident(result);
      failing.add(incident);
      const what = this.isMuted(incident) ? undefined : this.newsOf(incident);
      if (what === "worsened") incident.acknowledgedAt = undefined;
      if (what !== undefined) news.set(incident, what);
    }
    const isBlind = seen.some((s) => s.status === "unknown");
    for (const incident of isBlind ? [] : this.open()) {
      if (failing.has(incident)) continue;
      incident.cleanRuns += 1;
      if (incident.cleanRuns < Math.min(24, 2 * 2 ** incident.relapses)) continue;
      incident.isOpen = false;
      incident.resolvedAt = this.now;
      if (incident.messages > 0) news.set(incident, "resolved");
    }
    for (const thread of ["fail", "unknown"] as const) this.tell(thread, news);
  }

  private openIncident(result: Seen): Incident {
    const { subject, status, observed, isCritical } = result;
    const known = this.open().find((i) => i.subject === subject && i.status === status);
    if (known) {
      known.breaches += 1;
      known.cleanRuns = 0;
      return Object.assign(known, { observed, isCritical });
    }
    const before = this.all.findLast((i) => i.subject === subject && i.status === status);
    const incident: Incident = {
      ...{ subject, status, observed, isCritical, isOpen: true },
      relapses: before && this.now - before.resolvedAt <= 6 * HOUR ? before.relapses + 1 : 0,
      ...{ breaches: 1, cleanRuns: 0, messages: 0, resolvedAt: 0, acknowledgedAt: undefined },
      told: { at: this.now, observed, isCritical },
    };
    this.all.push(incident);
    return incident;
  }

  private newsOf(incident: Incident): Kind | undefined {
    const { told, acknowledgedAt } = incident;
    if (incident.messages === 0) return "opened";
    if (incident.isCritical && !told.isCritical) return "worsened";
    if (told.observed > 0 && incident.observed >= 2 * told.observed) return "worsened";
    const patience = acknowledgedAt === undefined ? 4 * HOUR : 24 * HOUR;
    return this.now - told.at >= patience ? "repeated" : undefined;
  }

  private tell(thread: "fail" | "unknown", news: Map<Incident, Kind>): void {
    const mine = new Map([...news].filter(([i]) => i.status === thread));
    if (mine.size === 0) return;
    if ([...mine.values()].includes("repeated")) {
      for (const i of this.open()) {
        const isQuiet = i.cleanRuns > 0 || i.messages === 0 || i.acknowledgedAt !== undefined;
        if (i.status === thread && !mine.has(i) && !isQuiet && !this.isMuted(i)) {
          mine.set(i, "repeated");
        }
      }
    }
    const waiting = this.waiting[thread];
    for (const [incident, kind] of mine) {
      const was = waiting.get(incident);
      const isNews = was === "opened" || was === "worsened";
      waiting.set(incident, isNews && kind !== "resolved" ? was : kind);
    }
    // What came back is told as it is.
    for (const incident of [...waiting.keys()]) {
      const later = [...waiting.keys()].some((o) =>
        o.subject === incident.subject && this.all.indexOf(o) > this.all.indexOf(incident)
      );
      if (later) waiting.delete(incident);
    }
    for (const incident of waiting.keys()) {
      incident.messages += 1;
      const { observed, isCritical } = incident;
      incident.told = { at: this.now, observed, isCritical };
    }
  }

  private send(): void {
    for (const thread of ["fail", "unknown"] as const) {
      const lines = [...this.waiting[thread]].map(([i, kind]) => this.line(i, kind)).sort();
      if (lines.length > 0) this.read.push(`${thread}: ${lines.join(", ")}`);
      this.waiting[thread].clear();
    }
  }

  line(incident: Incident, kind: Kind): string {
    return `${incident.subject}#${this.all.indexOf(incident)} ${kind}`;
  }

  open(): Incident[] {
    return this.all.filter((i) => i.isOpen);
  }

  /** A mute is of the failure, not of "can't look". */
  private isMuted(incident: Incident): boolean {
    return incident.status === "fail" && (this.mutes.get(incident.subject) ?? -1) > this.now;
  }
}
