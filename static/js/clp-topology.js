/** The picture: servers as cards, heartbeat LANs and arbiters as lines, groups inside the server that runs them. */

import { byPriority } from "./clp-tree.js";
import { ClpElement } from "./clp-element.js";
import { h, patch } from "./dom.js";
import { badge, glyph, look } from "./look.js";
import { Memo } from "./memo.js";
import { mirrorSection } from "./mirrors-picture.js";
import { arbiters, lans, outlook } from "./paths.js";
import { addresses, arrangement } from "./placement.js";
import { drawRails } from "./rails.js";
import { isCurrent, link } from "./route.js";
import { store } from "./store.js";
import { _, fill, word } from "./text.js";

const MOVE_MS = 600;
const QUIET = new Set(["Normal", "Silent", "Unused"]); // The shape, and what the server itself says, are enough.
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Topology extends ClpElement {
  #observer = new ResizeObserver(() => this.#measure());
  #frame = 0;
  #before = null; // where the groups were before those moved that have not been measured since
  #arranged = new Map();
  #stirred = []; // the servers among which they moved
  #memo = new Memo();
  #aged = () => this.#age();

  connectedCallback() {
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
  #age() {
    const { born } = store.state;
    for (const element of this.querySelectorAll("clp-age[data-of]")) {
      const text = String(born[element.dataset.of] ?? 0);
      if (element.getAttribute("born") !== text) element.setAttribute("born", text);
    }
  }

  /** Asking where something is makes the browser lay out the page at once; only what moves groups is worth that. */
  draw() {
    const arranged = signatures(store.state.status);
    const stirred = [...arranged.keys()].filter((server) => arranged.get(server) !== this.#arranged.get(server));
    if (stirred.length > 0) this.#remember(stirred);
    this.#arranged = arranged;
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    super.draw();
    this.#age();
    // A group that went to another server is a new element there: the focus goes with it.
    if (focused && !this.contains(document.activeElement)) this.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.#frame ||= requestAnimationFrame(() => this.#measure());
  }

  #measure() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#before) this.#slide(this.#before);
    this.#before = null;
    this.#stirred = [];
    this.#lines();
  }

  view(state) {
    const { status } = state;
    if (!status) return nothingYet();
    const servers = byPriority(status);
    const shelves = arrangement(status);
    const wires = wiresOf(status);
    this.#memo.keepOnly([...servers.map((server) => server.name), ...[...shelves.values()].flatMap((places) => places.map(groupKey))]);
    return h("div", { class: "picture", "data-density": density(status), style: { "--rails": String(wires.length) } },
      h("svg", { class: "rails", "aria-hidden": "true", key: "rails", opaque: true }),
      h("ul", { class: "wires", key: "wires", "aria-label": _("Interconnects and what decides beside them") }, wires.map(wire)),
      h("ul", { class: "servers", key: "servers" }, servers.map((server) => this.#card(status, server, shelves.get(server.name), wires))),
      mirrorSection(status),
      h("section", { class: "shelf", key: "shelf", "aria-label": _("Groups that run nowhere"), hidden: shelves.get("").length === 0 },
        h("h3", null, _("Not running")),
        h("ul", { class: "groups" }, shelves.get("").map((place) => this.#group(status, place)))));
  }

  #card(status, server, places, wires) {
    const groups = places.map((place) => this.#group(status, place));
    const { partition, coordinator } = status.cluster;
    const inputs = [server.status, partition, coordinator === server.name, isCurrent("server", server.name), ...wires.flatMap((one) => [one.name, one.ports.get(server.name), one.gaps?.get(server.name)?.percent]), ...groups];
    return this.#memo.get(server.name, inputs, () => card(status, server, groups, wires));
  }

  #group(status, place) {
    const { group, status: state, twice } = place;
    const inputs = [state, twice, group.goal, group.held, group.active_on[0], isCurrent("group", group.name), addresses(status, group).join(" ")];
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
    if (svg && store.state.status) patch(svg, drawRails(this, wiresOf(store.state.status)), svg.namespaceURI);
  }
}

const groupKey = (place) => `/${place.key}`;

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
  const state = path.ports.get(server) ?? "Unused";
  const gap = path.gaps?.get(server);
  const label = fill(_("%(lan)s: %(state)s"), { lan: path.name, state: word(state) });
  const title = gap ? `${label}; ${gapWords(gap)}` : label;
  return h("a", { key: path.name, class: "port", "data-lan": path.name, "data-look": look(state), "data-arbiter": path.arbiter, href: link(path.arbiter ? "resolver" : "heartbeat", path.name), title },
    glyph(state), h("span", { class: "label" }, path.name), h("span", { class: QUIET.has(state) ? "unseen" : "word" }, word(state)),
    gap && h("span", { class: "gap", "data-look": gap.percent >= 80 ? "bad" : gap.percent >= 50 ? "warn" : "good" }, fill(_("%(percent)s %"), gap)));
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
