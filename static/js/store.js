/** One WebSocket for the tab: keeps the state current, notices when it is not, and comes back. */

import { EMPTY, reduce } from "./reducer.js";

const STALE_MS = 3000;
const DEAD_MS = 8000; // A socket that is silent for so long, open or still opening, is given up.
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5000;
const RESYNC_EVERY_MS = 2000;
const SIGNED_OUT = 4401;
const FINAL = new Map([[4403, "forbidden"], [4404, "gone"]]);

export class Store extends EventTarget {
  state = EMPTY;
  link = "connecting"; // connecting | live | lost | forbidden | gone
  heardAt = 0; // local ms of the newest message
  stale = false;

  #path;
  #socket = null;
  #retry = RETRY_FIRST_MS;
  #askedAt = 0;
  #begunAt = 0;

  /** Begin with what the page brought along, then listen. */
  start(path, first) {
    this.#path = path;
    this.heardAt = Date.now();
    if (first) this.state = reduce(this.state, first, Date.now()).state;
    this.#connect();
    setInterval(() => this.#look(), 500);
    document.addEventListener("visibilitychange", () => this.#look());
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#connect());
  }

  #connect() {
    const before = this.#socket;
    this.#socket = null;
    before?.close();
    const url = new URL(this.#path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#begunAt = Date.now();
    socket.onmessage = (event) => socket === this.#socket && this.#hear(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code);
  }

  #hear(data) {
    const message = JSON.parse(data); // A frame that is no JSON throws: the console tells, silence does the rest.
    const { state, resync } = reduce(this.state, message, Date.now());
    this.state = state;
    this.heardAt = Date.now();
    if (message.type === "snapshot") this.#retry = RETRY_FIRST_MS;
    if (resync) this.#askAgain();
    this.#say(resync ? this.link : "live");
    if (message.type === "operation") this.dispatchEvent(new CustomEvent("operation", { detail: message.operation }));
  }

  #askAgain() {
    const now = Date.now();
    if (now - this.#askedAt < RESYNC_EVERY_MS) return;
    this.#askedAt = now;
    this.#socket.send(JSON.stringify({ type: "resync" }));
  }

  #closed(code) {
    if (code === SIGNED_OUT) return location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.hash)}`);
    this.#socket = null;
    this.#say(FINAL.get(code) ?? "lost");
    if (FINAL.has(code)) return undefined;
    // Jitter: hundreds of browsers must not come back in the same instant.
    setTimeout(() => this.#socket ?? this.#connect(), this.#retry * (0.5 + Math.random()));
    this.#retry = Math.min(RETRY_MOST_MS, this.#retry * 1.7);
    return undefined;
  }

  /** Silence is measured here, because a dead network closes no socket. */
  #look() {
    const silent = Date.now() - this.heardAt;
    const stale = silent > STALE_MS;
    if (this.#socket && Date.now() - Math.max(this.heardAt, this.#begunAt) > DEAD_MS) this.#connect();
    if (stale !== this.stale) this.#say(stale && this.link === "live" ? "lost" : this.link);
  }

  #say(link) {
    this.stale = Date.now() - this.heardAt > STALE_MS;
    this.link = link;
    this.dispatchEvent(new Event("change"));
  }
}

export const store = new Store();
