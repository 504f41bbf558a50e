/** One WebSocket for the tab: keeps the state current, notices when it is not, and comes back. */

import { silentSince } from "./ages.js";
import { EMPTY, reduce } from "./reducer.js";

const STALE_MS = 3000;
const DEAD_MS = 8000; // A socket that is silent for so long, open or still opening, is given up.
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5000;
const RESYNC_EVERY_MS = 2000;
const PAUSE_MS = 300_000; // A tab that nobody looks at for so long lets go of its socket.
const SIGNED_OUT = 4401;
const TOO_SLOW = 4008;
const FINAL = new Map([[4403, "forbidden"], [4404, "gone"]]);
const FINAL_LINKS = new Set(FINAL.values());
const FIRST = new Set(["snapshot", "summaries"]); // what a connection begins with

export class Store extends EventTarget {
  link = "connecting"; // connecting | live | lost | paused | forbidden | gone
  heardAt = 0; // local ms of the newest message
  stale = false; // the manager is not heard
  silent = 0; // local ms of the newest word of any server, while the manager hears none of them
  slowAt = 0; // local ms at which the manager let go of us, because we read too slowly
  upgraded = ""; // version of the manager, when it is another one than the page's

  #reduce;
  #silence;
  #path;
  #socket = null;
  #retry = RETRY_FIRST_MS;
  #askedAt = 0;
  #begunAt = 0;
  #pause = 0;

  /** `silence` tells since when the state is old although it arrives. */
  constructor(empty = EMPTY, reducer = reduce, silence = silentSince) {
    super();
    this.state = empty;
    this.#reduce = reducer;
    this.#silence = silence;
  }

  /** Begin with what the page brought along, then listen. */
  start(path, first) {
    this.#path = path;
    this.heardAt = Date.now();
    if (first) this.state = this.#reduce(this.state, first, Date.now()).state;
    this.#connect();
    setInterval(() => this.#look(), 500);
    document.addEventListener("visibilitychange", () => this.#turned());
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#connect());
  }

  /** What a page shows that has no socket, such as the past: nothing of it is live, so nothing of it is stale. */
  show(state) {
    this.state = state;
    this.stale = false;
    this.silent = 0;
    this.dispatchEvent(new Event("change"));
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
    const { state, resync } = this.#reduce(this.state, message, Date.now());
    this.state = state;
    this.heardAt = Date.now();
    if (FIRST.has(message.type)) this.#begun(message);
    if (resync) this.#askAgain();
    this.#say(resync ? this.link : "live");
    if (message.type === "operation") this.dispatchEvent(new CustomEvent("operation", { detail: message.operation }));
  }

  #begun(message) {
    this.#retry = RETRY_FIRST_MS;
    const own = document.body.dataset.version;
    this.upgraded = own && message.version && message.version !== own ? message.version : "";
  }

  #askAgain() {
    const now = Date.now();
    if (now - this.#askedAt < RESYNC_EVERY_MS) return;
    this.#askedAt = now;
    this.#socket.send(JSON.stringify({ type: "resync" }));
  }

  #closed(code) {
    if (code === SIGNED_OUT) return location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`);
    this.#socket = null;
    if (code === TOO_SLOW) this.slowAt = Date.now();
    this.#say(FINAL.get(code) ?? "lost");
    if (FINAL.has(code)) return undefined;
    // Jitter: hundreds of browsers must not come back in the same instant.
    setTimeout(() => this.link === "lost" && !this.#socket && this.#connect(), this.#retry * (0.5 + Math.random()));
    this.#retry = Math.min(RETRY_MOST_MS, this.#retry * 1.7);
    return undefined;
  }

  /** Hidden: the socket is let go after a while. Seen again: all of it anew, at once. */
  #turned() {
    clearTimeout(this.#pause);
    if (document.hidden) this.#pause = setTimeout(() => this.#rest(), PAUSE_MS);
    else if (this.link === "paused") this.#wake();
    this.#look();
  }

  #rest() {
    if (FINAL_LINKS.has(this.link)) return;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#say("paused");
  }

  #wake() {
    this.#say("connecting");
    this.#connect();
  }

  /** Silence is measured here, because a dead network closes no socket. */
  #look() {
    const now = Date.now();
    const stale = now - this.heardAt > STALE_MS;
    if (this.#socket && now - Math.max(this.heardAt, this.#begunAt) > DEAD_MS) this.#connect();
    const silent = this.#silence(this.state, now) > 0;
    if (stale !== this.stale || silent !== this.silent > 0) this.#say(stale && this.link === "live" ? "lost" : this.link);
  }

  #say(link) {
    const now = Date.now();
    this.stale = link === "paused" || now - this.heardAt > STALE_MS;
    this.silent = this.#silence(this.state, now);
    this.link = link;
    this.dispatchEvent(new Event("change"));
  }
}

export const store = new Store();
