/** All clusters as cards, worst first: what is wrong since when, what runs, how old that is. */

import "./clp-age.js";
import { h, patch } from "./dom.js";
import { EMPTY, reduce, sorted } from "./overview-state.js";
import { link } from "./route.js";
import { marked, within } from "./spoken.js";
import { Store } from "./store.js";
import { _, clock, duration, fill, plural } from "./text.js";

const SENTENCES = JSON.parse(document.getElementById("problem-sentences")?.textContent ?? "{}");
const LOOKS = { bad: _("Error"), warn: _("Warning"), unknown: _("Not known"), good: _("All is well") };
const ROLES = { administrator: _("administrator"), operator: _("operator"), viewer: _("viewer") };
const MARKS = { bad: "✕", warn: "▲", unknown: "?", good: "✓" };
const TICK_MS = 1000;
const OLD_MS = 5000;
const TITLE_MS = 200;

const store = new Store(EMPTY, reduce, () => 0);
const plain = document.title;

class Overview extends HTMLElement {
  #due = false;

  connectedCallback() {
    store.addEventListener("change", () => this.#redraw());
    setInterval(() => document.hidden || this.#redraw(), TICK_MS); // "for 3 min" goes on.
  }

  #redraw() {
    if (this.#due || Object.keys(store.state.clusters).length === 0) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.toggleAttribute("data-stale", store.stale);
      if (!this.clpOwn) this.replaceChildren(); // What came with the page was drawn by the manager.
      this.clpOwn = true;
      const now = Date.now() / 1000 + store.state.skew;
      patch(this, [h("p", { class: "asof" }, total()), h("ul", { class: "clusters" }, sorted(store.state).map((one) => known(one, now)))]);
    });
  }
}

function total() {
  const all = Object.values(store.state.clusters);
  const wrong = all.filter((one) => one.worst !== "good").length;
  const clusters = plural("%(count)s cluster", "%(count)s clusters", all.length);
  if (wrong === 0) return fill(_("%(clusters)s; all is well."), { clusters });
  return fill(_("%(clusters)s; something is wrong with %(wrong)s."), { clusters, wrong });
}

const address = (name, path = "/") => `${path}?${new URLSearchParams({ cluster: name })}`;

const cards = new WeakMap(); // summary -> {mark, card}: the same card again is not drawn again

function known(one, now) {
  const born = store.state.born[one.name];
  const old = !born || Date.now() - born > OLD_MS;
  const mark = `${born} ${old} ${Math.floor(now)}`;
  if (cards.get(one)?.mark !== mark) cards.set(one, { mark, card: card(one, now, born, old) });
  return cards.get(one).card;
}

function card(one, now, born, old) {
  return h("li", { key: one.name, class: "cluster-card", "data-look": one.worst, "data-cluster": one.name, "data-old": old },
    h("h2", null, h("a", { href: address(one.name) }, one.name), " ", h("span", { class: "tag" }, ROLES[store.state.roles[one.name]] ?? "")),
    one.comment && h("p", { class: "comment" }, one.comment),
    h("p", { class: "standing" }, h("span", { class: "state", "data-look": one.worst }, LOOKS[one.worst]), " ",
      one.since > 0 && h("span", { class: "since" }, fill(_("for %(time)s"), { time: duration(now - one.since) }))),
    h("ul", { class: "wrong" }, one.problems.map((problem) => line(one.name, problem)),
      one.more > 0 && h("li", { class: "none", key: "more" }, plural("and %(count)s more", "and %(count)s more", one.more))),
    h("dl", { class: "figures" },
      figure(_("Servers online"), one.servers.online, one.servers.all),
      figure(_("Groups online"), one.groups.online, one.groups.all),
      figure(_("Agents"), one.agents.connected, one.agents.all)),
    h("p", { class: "ends" }, h("clp-age", { born: born ?? 0, opaque: true }), " ", unacknowledged(one)));
}

function line(cluster, problem) {
  return h("li", { key: `${problem.code}/${problem.kind}/${problem.name}` },
    h("span", { class: "glyph", "data-look": problem.look, "aria-hidden": "true" }), " ",
    h("a", { href: address(cluster) + link(problem.kind, problem.kind === "cluster" ? "" : problem.name) }, told(problem)));
}

function told(problem) {
  const { words, english } = within(problem.detail);
  return marked(fill(SENTENCES[problem.code] ?? problem.code, { ...problem, detail: words }), english);
}

function figure(term, some, all) {
  return h("div", { key: term, "data-short": some < all }, h("dt", null, term), h("dd", null, `${some}/${all}`));
}

function unacknowledged(one) {
  const count = one.open.error;
  if (count === 0) return null;
  return h("a", { href: `${address(one.name, "/events/")}&ack=open` }, plural("%(count)s error is not acknowledged", "%(count)s errors are not acknowledged", count));
}

class Live extends HTMLElement {
  connectedCallback() {
    store.addEventListener("change", () => patch(this, [h("span", { class: "state", "data-look": mark()[0] }, mark()[1])]));
  }
}

function mark() {
  if (store.link === "paused") return ["unknown", _("Paused")];
  if (store.stale || store.link === "forbidden") return ["bad", _("Not live")];
  return store.link === "live" ? ["good", _("Live")] : ["busy", _("Connecting")];
}

class Banner extends HTMLElement {
  connectedCallback() {
    store.addEventListener("change", () => patch(this, [h("div", { role: "status" }, h("div", { class: "banner", hidden: !sentence() }, sentence()))]));
  }
}

function sentence() {
  if (store.link === "forbidden") return _("You may not watch any cluster any more. Ask an administrator for the right to do so.");
  if (!store.stale || store.link === "paused") return "";
  return fill(_("Not live since %(time)s. What you see is old; trying to reach the manager."), { time: clock(store.heardAt / 1000) });
}

function followInTab() {
  const all = Object.values(store.state.clusters);
  const worst = store.stale ? "unknown" : sorted(store.state)[0]?.worst ?? "unknown";
  const wrong = all.filter((one) => one.worst !== "good").length;
  const icon = document.getElementById("favicon");
  if (icon) icon.href = icon.dataset[worst];
  const name = store.stale ? fill(store.link === "paused" ? _("paused – %(name)s") : _("not live – %(name)s"), { name: plain }) : plain;
  document.title = `${store.link === "paused" ? "⏸" : MARKS[worst]} ${!store.stale && wrong > 0 ? `${wrong}/${all.length} – ` : ""}${name}`;
}

/** Many clusters change at once; a hidden tab gets no frames. */
function soon(work) {
  let due = 0;
  return () => {
    due ||= setTimeout(() => {
      due = 0;
      work();
    }, TITLE_MS);
  };
}

customElements.define("clp-overview", Overview);
customElements.define("clp-overview-live", Live);
customElements.define("clp-overview-banner", Banner);
store.addEventListener("change", soon(followInTab));
store.start(document.body.dataset.overview, null);
