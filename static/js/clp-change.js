/** A change of the configuration that is under way: what it is about, and how long it can be confirmed. */

import "./clp-countdown.js";
import { ClpElement } from "./clp-element.js";
import { h } from "./dom.js";
import { _ } from "./text.js";

class Change extends ClpElement {
  inputs(state) {
    return [state.status?.cluster.configuration];
  }

  view(state) {
    const change = state.status?.cluster.configuration;
    if (!change?.phase) return null;
    const left = change.left_s === null || change.left_s === undefined ? null : [
      " ", h("span", null, _("Unless it is confirmed, every server returns to the one before in")), " ",
      h("clp-countdown", { opaque: true, "data-left": change.left_s, role: "timer", "aria-label": _("Time left to confirm") }),
    ];
    return h("aside", { class: "risk under-way", "aria-label": _("Change of the configuration") },
      h("p", null, h("span", { class: "state", "data-look": "warn" }, sentence(change)), left, " ",
        h("a", { href: this.dataset.href }, _("Look and decide"))));
  }
}

function sentence(change) {
  if (change.back) return _("The servers return to the configuration before");
  if (change.phase === "trying") return _("A new configuration runs on trial");
  return _("The configuration is being changed");
}

customElements.define("clp-change", Change);
