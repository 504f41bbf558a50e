/** The picture: servers as cards, heartbeat LANs as lines between them, groups inside the server that runs them. */

import { byPriority } from "./clp-tree.js";
import { ClpElement } from "./clp-element.js";
import { h, patch } from "./dom.js";
import { badge, glyph, look } from "./look.js";
import { lans } from "./paths.js";
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
  #arranged = "";

  connectedCallback() {
    super.connectedCallback();
    this.#observer.observe(this);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  inputs(state) {
    return [state.status, state.born];
  }

  /** Asking where something is makes the browser lay out the page at once; only what moves groups is worth that. */
  draw() {
    const arranged = signature(store.state.status);
    if (arranged !== this.#arranged) this.#before ??= this.#positions();
    this.#arranged = arranged;
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    super.draw();
    // A group that went to another server is a new element there: the focus goes with it.
    if (focused && !this.contains(document.activeElement)) this.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.#frame ||= requestAnimationFrame(() => this.#measure());
  }

  #measure() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#before) this.#slide(this.#before);
    this.#before = null;
    this.#lines();
  }

  view(state) {
    const { status } = state;
    if (!status) return nothingYet();
    const servers = byPriority(status);
    const shelves = arrangement(status);
    const paths = [...lans(status).values()];
    return h("div", { class: "picture", "data-density": density(status), style: { "--rails": String(paths.length) } },
      h("svg", { class: "rails", "aria-hidden": "true", key: "rails", opaque: true }),
      h("ul", { class: "servers", key: "servers" }, servers.map((server) => card(state, server, shelves.get(server.name), paths))),
      h("section", { class: "shelf", key: "shelf", "aria-label": _("Groups that run nowhere"), hidden: shelves.get("").length === 0 },
        h("h3", null, _("Not running")),
        h("ul", { class: "groups" }, shelves.get("").map((place) => groupCard(status, place)))));
  }

  #positions() {
    const cards = [...this.querySelectorAll(".group-card")];
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
    if (svg && store.state.status) patch(svg, drawRails(this, [...lans(store.state.status).values()]), svg.namespaceURI);
  }
}

/** Which group stands where: the same text, nothing has moved. */
function signature(status) {
  if (!status) return "";
  return JSON.stringify([...arrangement(status)].map(([server, places]) => [server, places.map((place) => place.key)]));
}

function density(status) {
  const servers = Object.keys(status.servers).length;
  const groups = Object.keys(status.groups).length;
  if (servers > 10 || groups > 48) return "dense";
  return servers > 4 || groups > 16 ? "normal" : "roomy";
}

function nothingYet() {
  return h("div", { class: "empty" },
    h("p", null, _("No server has reported to this manager yet.")),
    h("p", null, _("On the manager run “manage.py agent add NODE”, put what it prints into /etc/openclp/manager.json of the server, and start its agent. The server then appears here by itself.")));
}

function card(state, server, places, paths) {
  const { status } = state;
  const crown = status.cluster.coordinator === server.name;
  return h("li", { key: server.name, class: "server-card", "data-look": look(server.status, "server"), "data-server": server.name, "data-current": isCurrent("server", server.name) },
    h("div", { class: "ports" }, paths.map((path) => port(path, server.name))),
    h("div", { class: "head" },
      h("a", { class: "name", href: link("server", server.name) }, server.name),
      badge(server.status, { kind: "server" })),
    h("div", { class: "facts" },
      h("clp-age", { born: state.born[server.name] ?? 0, opaque: true }),
      standing(status.cluster.partition, server.name),
      crown && h("span", { class: "tag", title: _("Decides for the cluster now") }, _("Coordinator"))),
    h("ul", { class: "groups" }, places.map((place) => groupCard(status, place))),
    places.length === 0 && h("p", { class: "none" }, _("No group here")));
}

/** At a partition: not heard, or heard and without the right to run groups. */
function standing(partition, server) {
  if (partition?.silent.includes(server)) return h("span", { class: "tag", title: _("It may still run: this is what is known of it, not what it is.") }, _("Not heard"));
  return partition?.idle.includes(server) && h("span", { class: "tag" }, _("May not run groups"));
}

function port(path, server) {
  const state = path.ports.get(server) ?? "Unused";
  const label = fill(_("%(lan)s: %(state)s"), { lan: path.name, state: word(state) });
  return h("a", { key: path.name, class: "port", "data-lan": path.name, "data-look": look(state), href: link("heartbeat", path.name), title: label },
    glyph(state), h("span", { class: "label" }, path.name), h("span", { class: QUIET.has(state) ? "unseen" : "word" }, word(state)));
}

function groupCard(status, { group, status: state, twice, key }) {
  const where = addresses(status, group);
  const shown = twice ? "Error" : state;
  return h("li", { key, class: "slot" },
    h("a", { class: "group-card", "data-key": key, "data-group": group.name, "data-look": look(shown), "data-twice": twice, "data-current": isCurrent("group", group.name), href: link("group", group.name) },
      h("span", { class: "name" }, group.name),
      badge(shown, { text: twice ? _("Active twice") : undefined }),
      where.length > 0 && h("span", { class: "address" }, where.join(" ")),
      group.goal && !group.active_on.includes(group.goal) && !group.held && h("span", { class: "goal" }, fill(_("→ %(server)s"), { server: group.goal }))));
}

customElements.define("clp-topology", Topology);
