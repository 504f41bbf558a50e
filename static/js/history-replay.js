/** The past of a cluster: which stretch of it is here, where in it the reader stands, and how it plays. */

import { EMPTY, apply } from "./reducer.js";
import { store } from "./store.js";

export const FRESH = Number.MAX_SAFE_INTEGER; // born: heard at that time
export const SPEEDS = [1, 5, 30, 120, 600];

const AHEAD_S = 20; // of real time: what playing shall find here already
const PAGE = 200;
const REDRAW_S = 0.25; // how often the words "for 3 min" are made anew while playing
const LEAD_S = 0.6; // of real time, before what happens next, when a quiet time is skipped
const SHOWN_EVENTS = 1000;
const PAGES_AT_REST = 2; // fetched ahead while nothing plays
const STEPS_KEPT = 1500;

class Replay extends EventTarget {
  cluster = "";
  at = 0;
  event = ""; // id of the event that was gone to
  playing = false;
  speed = 30;
  skip = true; // quiet times
  busy = false;
  trouble = ""; // what the manager answered instead
  range = null; // {begin, end}: all that was recorded
  recorded = true;

  #steps = []; // {at, status, agents, told}: the first one is the state that the manager gave
  #events = [];
  #places = new Map(); // id of an event -> when its effect is seen
  #gaps = [];
  #begin = 0;
  #until = 0; // the steps reach so far
  #near = { previous: null, next: null };
  #wanted = null; // the newest wish, while an older one is being fetched
  #filling = null;
  #pages = 0; // fetched since it was gone to a time
  #state = null;
  #cut = { events: null, count: 0, list: [] };
  #shownAt = 0;
  #frame = 0;
  #before = 0;

  start(cluster, past) {
    this.cluster = cluster;
    this.#take(past);
    this.#say();
    this.#fill();
  }

  /** The manager's answer about one time: all that is here begins anew. */
  #take(past) {
    this.at = past.at;
    this.event = past.event;
    this.range = past.range;
    this.recorded = past.recorded;
    this.#near = { previous: past.previous, next: past.next };
    this.#steps = [{ at: past.since, status: past.status, agents: past.agents, told: past.told }];
    this.#begin = past.recorded ? past.since : past.at;
    this.#until = past.at;
    this.#events = past.events;
    this.#places = new Map(past.event ? [[past.event, past.at]] : []);
    this.#gaps = past.gap ? [past.gap] : [];
    this.#pages = 0;
  }

  /** Go to a time, or to an event by its id. */
  seek(at, event = "") {
    if (event === "" && at >= this.#begin && at <= this.#until) {
      this.#wanted = null;
      this.#to(at, "");
      return Promise.resolve();
    }
    const idle = this.#wanted === null;
    this.#wanted = { at, event };
    return idle ? this.#fetchWanted() : Promise.resolve();
  }

  async #fetchWanted() {
    this.busy = true;
    this.#say();
    while (this.#wanted) {
      const { at, event } = this.#wanted;
      const past = await this.#ask("", event ? { event } : { at });
      if (!this.#wanted || this.#wanted.at !== at || this.#wanted.event !== event) continue;
      this.#wanted = null;
      if (past) this.#take(past);
    }
    this.busy = false;
    this.#say();
    this.#fill();
  }

  /** The event before (-1) or after (+1) the one that was gone to, or the time. */
  async step(direction) {
    this.pause();
    const id = this.#neighbour(direction) ?? (await this.#askedNeighbour(direction));
    if (id === null) return this.seek(direction < 0 ? this.range?.begin ?? this.at : this.range?.end ?? this.at);
    const place = this.#places.get(id);
    if (place === undefined || place > this.#until || place < this.#begin) return this.seek(0, id);
    this.#wanted = null;
    return this.#to(place, id);
  }

  #neighbour(direction) {
    const index = this.#events.findIndex((note) => note.id === this.event);
    if (index >= 0) return this.#events[index + direction]?.id ?? null;
    const after = this.#events.findIndex((note) => note.time > this.at);
    const found = direction > 0 ? this.#events[after] : this.#events[(after < 0 ? this.#events.length : after) - 1];
    return found?.id ?? null;
  }

  async #askedNeighbour(direction) {
    const past = await this.#ask("", this.event ? { event: this.event } : { at: this.at });
    return past?.[direction < 0 ? "previous" : "next"]?.id ?? null;
  }

  play() {
    if (this.playing || !this.range) return;
    this.playing = true;
    this.#before = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#turn(now));
    this.#say();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.#frame);
    this.#say();
  }

  set(values) {
    Object.assign(this, values);
    this.#say();
  }

  /** One picture of the film. */
  #turn(now) {
    if (!this.playing) return;
    const passed = Math.min(0.2, (now - this.#before) / 1000); // A hidden tab is not caught up with.
    this.#before = now;
    if (!this.busy) this.#forward(passed);
    if (this.playing) this.#frame = requestAnimationFrame((next) => this.#turn(next));
  }

  #forward(passed) {
    this.#fill();
    let at = this.at + passed * this.speed;
    const next = this.#nextHappening();
    if (this.skip && (next === null ? this.#until : next) - at > 2 * this.speed) {
      at = Math.max(at, (next ?? this.#until) - LEAD_S * this.speed);
    }
    at = Math.min(at, this.#until);
    if (at >= this.range.end - 0.001) this.pause();
    if (at > this.at) this.#to(at, "");
  }

  /** When something happens next that is here already; null: nothing. */
  #nextHappening() {
    return this.#steps.find((one) => one.at > this.at)?.at ?? null;
  }

  #to(at, event) {
    this.at = at;
    this.event = event;
    this.recorded = !this.#gaps.some((gap) => at > gap.begin && (gap.end === null || at < gap.end));
    this.#say();
  }

  /** Fetches what comes next, as long as it is near. */
  async #fill() {
    if (this.#filling || !this.range || this.#until >= this.range.end) return;
    if (this.#until - this.at > AHEAD_S * this.speed && this.#nextHappening() !== null) return;
    if (!this.playing && this.#pages >= PAGES_AT_REST) return;
    this.#pages += 1;
    const steps = this.#steps;
    this.#filling = this.#ask("/changes", { after: this.#until, until: Math.max(this.range.end, this.#until), limit: PAGE });
    const page = await this.#filling;
    this.#filling = null;
    if (!page) return this.pause();
    if (this.#steps === steps) this.#append(page);
    return this.#fill();
  }

  #append(page) {
    for (const { at, changes, agents, events } of page.changes) {
      const last = this.#steps.at(-1);
      const told = Object.fromEntries(changes.filter(([kind, , object]) => kind === "servers" && object).map(([, name]) => [name, at]));
      this.#steps.push({ at, status: apply(last.status ?? nothing(), changes), agents: agents ?? last.agents, told: { ...last.told, ...told } });
      for (const id of events) this.#places.set(id, at);
    }
    for (const note of page.events) this.#places.set(note.id, Math.max(note.time, this.#places.get(note.id) ?? 0));
    const known = new Set(this.#events.map((note) => note.id));
    this.#events = [...this.#events, ...page.events.filter((note) => !known.has(note.id))];
    this.#gaps = [...this.#gaps, ...page.gaps];
    this.#forget();
    this.#until = page.more ? page.until : Math.max(page.until, this.#until);
  }

  /** What was passed long ago is fetched anew by whoever goes back to it. */
  #forget() {
    const passed = this.#steps.findLastIndex((one) => one.at <= this.at);
    const over = Math.min(this.#steps.length - STEPS_KEPT, passed);
    if (over <= 0) return;
    this.#steps.splice(0, over);
    this.#begin = this.#steps[0].at;
  }

  async #ask(path, query) {
    const url = `/api/v2/clusters/${encodeURIComponent(this.cluster)}/history${path}?${new URLSearchParams(query)}`;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20_000) });
      const body = await answer.json();
      this.trouble = answer.ok ? "" : body.result?.message ?? String(answer.status);
      return answer.ok ? body : null;
    } catch (error) {
      this.trouble = error.message;
      return null;
    } finally {
      this.#say();
    }
  }

  /** What stands on the time line between two times. */
  line(begin, end) {
    return this.#ask("/line", { begin: Math.max(0, begin), end });
  }

  /** The event that was gone to, else the newest one up to now. */
  get note() {
    if (this.event) return this.#events.find((note) => note.id === this.event) ?? null;
    return this.#shown().at(-1) ?? null;
  }

  #shown() {
    const index = this.#events.findIndex((note) => note.time > this.at);
    const count = index < 0 ? this.#events.length : index;
    if (this.#cut.events !== this.#events || this.#cut.count !== count) {
      this.#cut = { events: this.#events, count, list: this.#events.slice(Math.max(0, count - SHOWN_EVENTS), count) };
    }
    return this.#cut.list;
  }

  #say() {
    const step = this.#steps.findLast((one) => one.at <= this.at) ?? this.#steps[0];
    const events = this.#shown();
    const same = this.#state && this.#state.status === step?.status && this.#state.events === events;
    if (!same || !this.playing || Math.abs(this.at - this.#shownAt) >= REDRAW_S * this.speed) {
      this.#shownAt = this.at;
      this.#state = stateOf(this.cluster, step, events, this.at);
      store.show(this.#state);
    }
    this.dispatchEvent(new Event("change"));
  }
}

const nothing = () => ({ ...EMPTY.status, cluster: null, servers: {}, groups: {}, resources: {}, monitors: {}, fences: {} });

/** As the live page's reducer makes it, with a clock that shows that time. */
function stateOf(cluster, step, events, at) {
  step.born ??= Object.fromEntries(Object.values(step.status?.servers ?? {}).map((server) => [server.name, birth(server, step.told)]));
  step.shown ??= Object.fromEntries(Object.entries(step.agents).map(([node, connected]) => [node, { connected, age_s: 0 }]));
  return { ...EMPTY, cluster, rev: 0, status: step.status, events, agents: step.shown, born: step.born, skew: at - Date.now() / 1000 };
}

/** Ages are not recorded: of who was heard the word was new, of who was not it is as old as its last change. */
function birth(server, told) {
  if (!server.source) return 0;
  if (server.status !== "Unknown" && server.status !== "Offline") return FRESH;
  return ((told[server.name] ?? 0) - (server.age_s ?? 0)) * 1000;
}

export const replay = new Replay();
