/** The tree of all objects: one tab stop, arrow keys as in the ARIA authoring practices, a box to find names. */

import { ClpElement } from "./clp-element.js";
import { h } from "./dom.js";
import { badge } from "./look.js";
import { Memo } from "./memo.js";
import { fenceState, resolvers } from "./partition.js";
import { lans } from "./paths.js";
import { current, link } from "./route.js";
import { _ } from "./text.js";

const MANY = 12; // Larger branches begin closed.

class Tree extends ClpElement {
  #open = new Map(); // id -> opened or closed by hand
  #focused = "";
  #find = "";
  #typed = { text: "", at: 0 };
  #rows = [];
  #memo = new Memo();

  inputs(state) {
    return [state.status];
  }

  view(state) {
    if (!state.status) return h("p", { class: "empty" }, _("No objects yet."));
    this.#rows = this.#flatten(roots(state.status), 1);
    const selected = idOf(current());
    this.#memo.keepOnly(this.#rows.map((row) => row.id));
    if (!this.#rows.some((row) => row.id === this.#focused)) {
      this.#focused = (this.#rows.find((row) => row.id === selected) ?? this.#rows[0])?.id ?? "";
    }
    return h("div", { class: "tree" },
      h("label", { class: "find" },
        h("span", { class: "unseen" }, _("Find an object")),
        h("input", { type: "search", placeholder: _("Find an object"), oninput: (event) => this.#search(event.target.value) })),
      this.#rows.length === 0 && h("p", { class: "empty" }, _("No object has this in its name.")),
      h("div", { role: "tree", "aria-label": _("Objects of the cluster"), onkeydown: (event) => this.#key(event) },
        this.#rows.map((row) => this.#known(row, selected))));
  }

  #known(row, selected) {
    const inputs = [row.label, row.state, row.count, row.level, row.open, row.position, row.size, row.id === this.#focused, row.id === selected];
    return this.#memo.get(row.id, inputs, () => this.#item(row, selected));
  }

  #flatten(nodes, level, parent = "") {
    const shown = nodes.filter((node) => this.#matches(node));
    return shown.flatMap((node, index) => {
      const open = this.#isOpen(node);
      const row = { ...node, level, parent, open, position: index + 1, size: shown.length };
      return [row, ...(open ? this.#flatten(node.children(), level + 1, node.id) : [])];
    });
  }

  #isOpen(node) {
    if (node.count === 0) return false;
    return this.#find ? true : this.#open.get(node.id) ?? node.open;
  }

  #matches(node) {
    if (!this.#find) return true;
    return node.label.toLowerCase().includes(this.#find) || node.children().some((child) => this.#matches(child));
  }

  #item(row, selected) {
    const expandable = row.count > 0;
    const toggle = (event) => {
      event.preventDefault();
      this.#toggle(row, !row.open);
    };
    return h("a", {
      key: row.id,
      role: "treeitem",
      href: row.href ?? "#/cluster",
      class: "row",
      "data-id": row.id,
      "data-level": row.level,
      style: { "--level": String(row.level) },
      tabindex: row.id === this.#focused ? "0" : "-1",
      "aria-level": row.level,
      "aria-setsize": row.size,
      "aria-posinset": row.position,
      "aria-expanded": expandable ? String(row.open) : null,
      "aria-selected": String(row.id === selected),
      onfocus: () => this.#focus(row.id),
      onclick: row.href ? null : toggle,
    },
    h("span", { class: "twist", "aria-hidden": "true", onclick: expandable ? (event) => (event.stopPropagation(), toggle(event)) : null }),
    h("span", { class: "name" }, row.label),
    row.state ? badge(row.state, { kind: row.kind }) : h("span", { class: "count" }, row.count));
  }

  #search(text) {
    this.#find = text.trim().toLowerCase();
    this.redraw();
  }

  #toggle(row, open) {
    this.#open.set(row.id, open);
    this.redraw();
  }

  #focus(id) {
    if (this.#focused === id) return;
    this.#focused = id;
    this.redraw();
  }

  #go(row) {
    if (row) this.querySelector(`[data-id="${CSS.escape(row.id)}"]`)?.focus();
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    this.settle();
    const at = this.#rows.findIndex((row) => row.id === this.#focused);
    const row = this.#rows[at];
    const moves = {
      ArrowDown: () => this.#go(this.#rows[at + 1]),
      ArrowUp: () => this.#go(this.#rows[at - 1]),
      Home: () => this.#go(this.#rows[0]),
      End: () => this.#go(this.#rows.at(-1)),
      ArrowRight: () => this.#right(row, at),
      ArrowLeft: () => this.#left(row),
      " ": () => event.target.click(),
      "*": () => this.#rows.filter((one) => one.parent === row.parent).forEach((one) => this.#toggle(one, true)),
    };
    const move = moves[event.key] ?? (/^\S$/u.test(event.key) ? () => this.#type(event.key, at) : null);
    if (!move) return;
    event.preventDefault();
    move();
  }

  #right(row, at) {
    if (row.count === 0) return;
    if (row.open) this.#go(this.#rows[at + 1]);
    else this.#toggle(row, true);
  }

  #left(row) {
    if (row.open && !this.#find) this.#toggle(row, false);
    else this.#go(this.#rows.find((one) => one.id === row.parent));
  }

  /** Letters typed within a second look for a name, from the next row on and round. */
  #type(letter, at) {
    const now = Date.now();
    this.#typed = { text: (now - this.#typed.at < 1000 ? this.#typed.text : "") + letter.toLowerCase(), at: now };
    const from = this.#typed.text.length > 1 ? at : at + 1;
    const round = [...this.#rows.slice(from), ...this.#rows.slice(0, from)];
    this.#go(round.find((row) => row.label.toLowerCase().startsWith(this.#typed.text)));
  }
}

const idOf = ({ kind, name }) => (name ? `${kind}/${name}` : kind);

function roots(status) {
  const groups = Object.values(status.groups);
  const branches = [
    branch("servers", _("Servers"), byPriority(status), (one) => leaf("server", one)),
    branch("groups", _("Groups"), groups, (one) => groupNode(status, one, groups.length <= MANY)),
    branch("monitors", _("Monitors"), Object.values(status.monitors), (one) => leaf("monitor", one)),
    branch("heartbeats", _("Heartbeats"), [...lans(status).values()], (one) => ({ ...leaf("heartbeat", one), state: one.state })),
    branch("resolvers", _("Partition resolution"), [...resolvers(status).values()], (one) => leaf("resolver", one)),
    branch("fences", _("Fence devices"), Object.values(status.fences ?? {}), (one) => ({ ...leaf("fence", one), state: fenceState(one) })),
  ].filter((one) => one.count > 0);
  const cluster = { id: "cluster", label: status.cluster.name, href: link("cluster"), state: status.cluster.status, open: true };
  return [{ ...cluster, count: branches.length, children: () => branches }];
}

export const byPriority = (status) => Object.values(status.servers).sort((a, b) => a.priority - b.priority);

/** What stands in a branch is made where it is open, or where one looks for a name: thousands stand in closed ones. */
function branch(id, label, objects, node) {
  return { id, label, count: objects.length, open: objects.length <= 4 * MANY, children: () => objects.map(node) };
}

function leaf(kind, object) {
  return { id: `${kind}/${object.name}`, kind, label: object.name, href: link(kind, object.name), state: object.status, count: 0, children: () => [] };
}

function groupNode(status, group, open) {
  const resources = group.resources.filter((name) => status.resources[name]);
  return { ...leaf("group", group), open, count: resources.length, children: () => resources.map((name) => leaf("resource", status.resources[name])) };
}

customElements.define("clp-tree", Tree);
