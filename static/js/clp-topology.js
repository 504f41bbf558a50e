/** The picture: servers as cards, heartbeat LANs and arbiters as lines, groups inside the server that runs them. */

import { byPriority } from "./clp-tree.js";
import { ClpElement } from "./clp-element.js";
import { h, patch } from "./dom.js";
import { badge, glyph, look } from "./look.js";
import { Memo } from "./memo.js";
import { mirrorSection } from "./mirrors-picture.js";
import { arbiters, lans, outlook, portState } from "./paths.js";
import { addressBook, addresses, arrangement } from "./placement.js";
import { drawRails, measureRows } from "./rails.js";
import { current, isCurrent, link } from "./route.js";
import { store } from "./store.js";
import { _, fill, word } from "./text.js";

const MOVE_MS = 600;
const NEAR = 50; // percent of the timeout: from there on a gap is shown beside its port
const QUIET = new Set(["Normal", "Silent", "Unused"]); // The shape, and what the server itself says, are enough.
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Topology extends ClpElement {
  #observer = new ResizeObserver(() => this.#measure()); // After the layout: asking then costs nothing.
  #servers = ""; // those that were looked for in the page
  #ages = [];
  #rows = []; // where servers and ports are
  #drawn = []; // what the lines were made of
  #born = null;
  #shown = ""; // the object that the address names
  #frame = 0;
  #before = null; // where the groups were before those moved that have not been measured since
  #arranged = new Map();
  #stirred = []; // the servers among which they moved
  #memo = new Memo();
  #aged = () => this.#age();

  connectedCallback() {
    this.#servers = "";
    super.connectedCallback();
    store.addEventListener("change", this.#aged);
    this.#observer.observe(this);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    store.removeEventListener("change", this.#aged);
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  inputs({ status }) {
    return status ? [status.servers, status.groups, status.resources, status.mirrors, status.cluster.partition, status.cluster.coordinator] : [status];
  }

  /** Ages come each second and change no picture: they are written where they stand. */
  #age({ anew = false } = {}) {
    const { born } = store.state;
    if (born === this.#born && !anew) return;
    this.#born = born;
    for (const element of this.#ages) element.born = born[element.dataset.of] ?? 0;
  }

  /** Asking where something is makes the browser lay out the page at once; only what moves groups is worth that. */
  draw() {
    const arranged = signatures(store.state.status);
    const stirred = [...arranged.keys()].filter((server) => arranged.get(server) !== this.#arranged.get(server));
    if (stirred.length > 0) this.#remember(stirred);
    this.#arranged = arranged;
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    super.draw();
    this.#find([...arranged.keys()].join());
    // A group that went to another server is a new element there: the focus goes with it.
    if (focused && !this.contains(document.activeElement)) this.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    if (this.#before || this.#linesDiffer()) this.#frame ||= requestAnimationFrame(() => this.#settled());
  }

  /** Elements stay as long as their servers do: looking for them in a large picture each time would cost more than
   * what is done with them. Where a line goes follows from the sizes of the cards. */
  #find(servers) {
    if (servers === this.#servers) return;
    this.#servers = servers;
    this.#ages = [...this.querySelectorAll("clp-age[data-of]")];
    this.#age({ anew: true });
    for (const element of this.querySelectorAll(".server-card, .wires")) this.#observer.observe(element);
  }

  #settled() {
    this.#frame = 0;
    if (this.#before) this.#slide(this.#before);
    this.#before = null;
    this.#stirred = [];
    this.#measure();
  }

  #measure() {
    if (!store.state.status || !this.querySelector(".picture")) return;
    this.#rows = measureRows(this);
    this.#lines();
  }

  view(state) {
    const { status } = state;
    if (!status) return nothingYet();
    const servers = byPriority(status);
    const shelves = arrangement(status);
    const wires = wiresOf(status);
    const here = current();
    this.#shown = `${here.kind}/${here.name}`;
    this.#memo.keepOnly([...shelves].flatMap(([server, places]) => [server, shelfKey(server), ...places.map(groupKey)]));
    return h("div", { class: "picture", "data-density": density(status), style: { "--rails": String(wires.length) } },
      h("svg", { class: "rails", "aria-hidden": "true", key: "rails", opaque: true }),
      h("ul", { class: "wires", key: "wires", "aria-label": _("Interconnects and what decides beside them") }, wires.map(wire)),
      h("ul", { class: "servers", key: "servers" }, servers.map((server) => this.#card(status, server, shelves.get(server.name), wires))),
      mirrorSection(status),
      h("section", { class: "shelf", key: "shelf", "aria-label": _("Groups that run nowhere"), hidden: shelves.get("").length === 0 },
        h("h3", null, _("Not running")),
        h("ul", { class: "groups" }, this.#groups(status, "", shelves.get("")))));
  }

  #card(status, server, places, wires) {
    const groups = this.#groups(status, server.name, places);
    const { partition, coordinator } = status.cluster;
    const apart = [partition?.silent, partition?.idle].map((names) => names?.includes(server.name));
    const inputs = [server.status, ...apart, coordinator === server.name, this.#shown === `server/${server.name}`, ...wires.flatMap((one) => [one.name, one.ports.get(server.name), one.gaps?.get(server.name)?.percent]), groups];
    return this.#memo.get(server.name, inputs, () => card(status, server, groups, wires));
  }

  /** Those of one server. */
  #groups(status, server, places) {
    const here = this.#shown.startsWith("group/") ? this.#shown : "";
    return this.#memo.get(shelfKey(server), [here, addressBook(status), ...places], () => places.map((place) => this.#group(status, place)));
  }

  #group(status, place) {
    const { group, status: state, twice } = place;
    const inputs = [state, twice, group.goal, group.held, group.active_on[0], this.#shown === `group/${group.name}`, addresses(status, group).join(" ")];
    return this.#memo.get(groupKey(place), inputs, () => groupCard(status, place));
  }

  #remember(stirred) {
    this.#stirred = [...new Set([...this.#stirred, ...stirred])];
    this.#before = new Map([...this.#positions(), ...(this.#before ?? [])]);
  }

  /** Of hundreds of groups only those where something moved are looked at: the others do not glide when a row grows. */
  #positions() {
    const many = this.querySelector('[data-density="many"]');
    const places = many ? this.#stirred.map((server) => (server ? `.server-card[data-server="${CSS.escape(server)}"] .group-card` : ".shelf .group-card")) : [".group-card"];
    const cards = [...this.querySelectorAll(places.join(","))];
    return new Map(cards.map((element) => [element.dataset.key, { box: element.getBoundingClientRect(), element }]));
  }

  /** Each group glides from where it was to where it is: the eye sees that it is the same one. */
  #slide(before) {
    if (calm.matches) return;
    for (const [key, { box, element }] of this.#positions()) {
      const from = before.get(key);
      if (!from) continue;
      const [x, y] = [from.box.x - box.x, from.box.y - box.y];
      const moved = from.element !== element;
      if (Math.abs(x) + Math.abs(y) < 2) continue;
      if (moved) element.setAttribute("data-moving", "");
      const glide = element.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], {
        duration: moved ? MOVE_MS : MOVE_MS / 2, easing: "cubic-bezier(.3, 0, .2, 1)",
      });
      glide.onfinish = glide.oncancel = () => element.removeAttribute("data-moving");
    }
  }

  #lines() {
    const svg = this.querySelector(".rails");
    if (!svg) return;
    this.#drawn = madeOf(store.state.status);
    patch(svg, drawRails(this.#rows, wiresOf(store.state.status)), svg.namespaceURI);
  }

  #linesDiffer() {
    const now = madeOf(store.state.status);
    return now.length !== this.#drawn.length || now.some((value, index) => value !== this.#drawn[index]);
  }
}

const groupKey = (place) => `/${place.key}`;
const shelfKey = (server) => `//${server}`;

/** What the lines show, and what moves the ports beside it: the words of their states. */
function madeOf(status) {
  if (!status) return [];
  const gap = (one) => (one.percent >= NEAR ? one.percent : 0);
  const wires = wiresOf(status).flatMap((one) => [one.name, outlook(one), one.worst?.percent, ...one.ports.values(), ...[...(one.gaps?.values() ?? [])].map(gap)]);
  return [...byPriority(status).map((server) => server.name), ...wires];
}

/** Arbiters first: their lines run above those of the LANs. */
const wiresOf = (status) => [...arbiters(status).values(), ...lans(status).values()];

/** Which groups stand on which server: the same text, nothing has moved there. */
function signatures(status) {
  if (!status) return new Map();
  return new Map([...arrangement(status)].map(([server, places]) => [server, places.map((place) => place.key).join("\n")]));
}

function density(status) {
  const servers = Object.keys(status.servers).length;
  const groups = Object.keys(status.groups).length;
  if (groups > 96) return "many";
  if (servers > 10 || groups > 48) return "dense";
  return servers > 4 || groups > 16 ? "normal" : "roomy";
}

function nothingYet() {
  return h("div", { class: "empty" },
    h("p", null, _("No server has reported to this manager yet.")),
    h("p", null, _("On the manager run “manage.py agent add NODE”, put what it prints into /etc/openclp/manager.json of the server, and start its agent. The server then appears here by itself.")));
}

/** One line of the picture in words: how it is, and how near its gaps come to the timeout. */
function wire(one) {
  const state = outlook(one);
  const kind = one.arbiter ? "resolver" : "heartbeat";
  return h("li", { key: one.name, class: "wire", "data-arbiter": one.arbiter, "data-look": look(state), "data-wire": one.name },
    h("a", { href: link(kind, one.name), title: one.comment }, glyph(state), h("span", { class: "label" }, one.name), h("span", { class: QUIET.has(one.state) ? "unseen" : "word" }, word(one.state))),
    h("span", { class: "measured" }, one.arbiter ? reachedBy(one) : gapWords(one.worst)));
}

function reachedBy(one) {
  return one.of === 0 ? _("asked by nobody now") : fill(_("reached by %(reached)s of %(of)s"), one);
}

function gapWords(worst) {
  if (!worst) return _("nothing measured yet");
  return fill(_("worst gap %(percent)s % of the timeout (%(hears)s ← %(peer)s)"), worst);
}

function card(status, server, groups, wires) {
  const crown = status.cluster.coordinator === server.name;
  return h("li", { key: server.name, class: "server-card", "data-look": look(server.status, "server"), "data-server": server.name, "data-current": isCurrent("server", server.name) },
    h("div", { class: "ports" }, wires.map((one) => port(one, server.name))),
    h("div", { class: "head" },
      h("a", { class: "name", href: link("server", server.name) }, server.name),
      badge(server.status, { kind: "server" })),
    h("div", { class: "facts" },
      h("clp-age", { "data-of": server.name, opaque: true }),
      standing(status.cluster.partition, server.name),
      crown && h("span", { class: "tag", title: _("Decides for the cluster now") }, _("Coordinator"))),
    h("ul", { class: "groups" }, groups),
    groups.length === 0 && h("p", { class: "none" }, _("No group here")));
}

/** At a partition: not heard, or heard and without the right to run groups. */
function standing(partition, server) {
  if (partition?.silent.includes(server)) return h("span", { class: "tag", title: _("It may still run: this is what is known of it, not what it is.") }, _("Not heard"));
  return partition?.idle.includes(server) && h("span", { class: "tag" }, _("May not run groups"));
}

function port(path, server) {
  const state = portState(path, server);
  const gap = path.gaps?.get(server);
  const label = fill(_("%(lan)s: %(state)s"), { lan: path.name, state: word(state) });
  const title = gap ? `${label}; ${gapWords(gap)}` : label;
  return h("a", { key: path.name, class: "port", "data-lan": path.name, "data-look": look(state), "data-arbiter": path.arbiter, href: link(path.arbiter ? "resolver" : "heartbeat", path.name), title },
    glyph(state), h("span", { class: "label" }, path.name), h("span", { class: QUIET.has(state) ? "unseen" : "word" }, word(state)),
    gap && h("span", { class: "gap", "data-look": gap.percent >= 80 ? "bad" : gap.percent >= NEAR ? "warn" : "good" }, fill(_("%(percent)s %"), gap)));
}

function groupCard(status, { group, status: state, twice, key }) {
  const where = addresses(status, group);
  const shown = twice ? "Error" : state;
  return h("li", { key, class: "slot" },
    h("a", { class: "group-card", title: group.name, "data-key": key, "data-group": group.name, "data-look": look(shown), "data-twice": twice, "data-current": isCurrent("group", group.name), href: link("group", group.name) },
      h("span", { class: "name" }, group.name),
      badge(shown, { text: twice ? _("Active twice") : undefined }),
      where.length > 0 && h("span", { class: "address" }, where.join(" ")),
      group.goal && !group.active_on.includes(group.goal) && !group.held && h("span", { class: "goal" }, fill(_("→ %(server)s"), { server: group.goal }))));
}

customElements.define("clp-topology", Topology);
