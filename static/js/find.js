/** The box that finds objects of all clusters: the best ones while one types, the whole list with Enter. */

import { h, patch } from "./dom.js";
import { badge } from "./look.js";
import { _, plural } from "./text.js";

const PAUSE_MS = 150;
const SHOWN = 8;
const KINDS = { cluster: _("Cluster"), server: _("Server"), group: _("Failover group"), resource: _("Resource"), monitor: _("Monitor"), heartbeat: _("Heartbeat"), resolver: _("Partition resolver"), fence: _("Fence device") };

export function findAsYouType() {
  const field = document.getElementById("find");
  if (field) new Finder(field);
}

class Finder {
  #field;
  #list = document.createElement("div");
  #timer = 0;
  #asked = "";
  #found = [];
  #chosen = -1;

  constructor(field) {
    this.#field = field;
    this.#list.className = "found";
    field.form.append(this.#list);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": "found", "aria-expanded": "false" })) field.setAttribute(name, value);
    field.addEventListener("input", () => this.#soon());
    field.addEventListener("keydown", (event) => this.#key(event));
    field.form.addEventListener("focusout", (event) => field.form.contains(event.relatedTarget) || this.#close());
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), PAUSE_MS);
  }

  async #ask() {
    const q = this.#field.value.trim();
    this.#asked = q;
    if (!q) return this.#close();
    const answer = await this.#fetch(q);
    if (this.#asked !== q) return undefined; // Somebody typed on.
    if (!answer) return this.#draw([h("p", { class: "none", role: "status" }, _("The manager does not answer."))]);
    this.#found = answer.found;
    this.#chosen = -1;
    return this.#show(answer.total);
  }

  async #fetch(q) {
    try {
      const answer = await fetch(`/api/v2/search?${new URLSearchParams({ q, limit: SHOWN })}`, { headers: { Accept: "application/json" } });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  #show(total) {
    this.#field.setAttribute("aria-activedescendant", this.#chosen < 0 ? "" : `found-${this.#chosen}`);
    this.#draw([
      h("p", { class: "none", role: "status" }, plural("%(count)s object", "%(count)s objects", total ?? this.#found.length)),
      h("ul", { id: "found", role: "listbox", "aria-label": _("Found objects") }, this.#found.map((one, index) => this.#option(one, index))),
    ]);
  }

  #option(one, index) {
    return h("li", { key: `${one.cluster}/${one.kind}/${one.name}`, id: `found-${index}`, role: "option", "aria-selected": String(index === this.#chosen), onmousedown: (event) => event.preventDefault(), onclick: () => location.assign(one.path) },
      h("span", { class: "name" }, one.name), one.status && badge(one.status, { kind: one.kind }),
      h("span", { class: "tag" }, KINDS[one.kind] ?? one.kind), h("span", { class: "where" }, one.cluster), one.about && h("span", { class: "comment" }, one.about));
  }

  #draw(content) {
    this.#list.hidden = false;
    this.#field.setAttribute("aria-expanded", "true");
    patch(this.#list, content);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#asked = "";
    this.#found = [];
    this.#list.hidden = true;
    this.#field.setAttribute("aria-expanded", "false");
    this.#field.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const count = this.#found.length;
    if (event.key === "Escape") {
      this.#close();
      this.#field.blur();
    } else if (event.key === "Enter" && this.#chosen >= 0) {
      event.preventDefault();
      location.assign(this.#found[this.#chosen].path);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && count > 0) {
      event.preventDefault();
      this.#chosen = (this.#chosen + (event.key === "ArrowDown" ? 1 : count + (this.#chosen < 0))) % count;
      this.#show();
    }
  }
}
