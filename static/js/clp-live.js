/** Says how fresh the page is: a small mark while live, a banner when not, and the tab's title and icon. */

import { ClpElement } from "./clp-element.js";
import { h } from "./dom.js";
import { problems, worst } from "./problems.js";
import { store } from "./store.js";
import { _, clock, fill, plural } from "./text.js";

const MARKS = { good: "✓", warn: "▲", bad: "✕", unknown: "?" };

class Live extends ClpElement {
  view() {
    if (store.stale || store.link === "forbidden" || store.link === "gone") return h("span", { class: "state", "data-look": "bad" }, _("Not live"));
    if (store.link === "live") return h("span", { class: "state", "data-look": "good" }, _("Live"));
    return h("span", { class: "state", "data-look": "busy" }, _("Connecting"));
  }
}

class Banner extends ClpElement {
  view() {
    return h("div", { role: "status" }, h("div", { class: "banner", hidden: !sentence() }, sentence()));
  }
}

function sentence() {
  if (store.link === "forbidden") return _("You may not watch this cluster. Ask an administrator for the right to do so.");
  if (store.link === "gone") return _("This cluster is no longer known to the manager. Choose another one.");
  if (!store.stale) return "";
  return fill(_("Not live since %(time)s. What you see is old; trying to reach the manager."), { time: clock(store.heardAt / 1000) });
}

/** Title and icon follow even in a hidden tab: that is where they are needed. */
export function followInTab() {
  const icon = document.getElementById("favicon");
  const plain = document.title;
  let shown = "";
  store.addEventListener("change", () => {
    const look = store.stale ? "unknown" : worst(store.state);
    const title = `${MARKS[look]} ${tabTitle(look, plain)}`;
    if (title === shown) return;
    shown = title;
    document.title = title;
    if (icon) icon.href = icon.dataset[look];
  });
}

function tabTitle(look, plain) {
  const name = store.state.status?.cluster.name ?? plain;
  if (store.stale) return fill(_("not live – %(name)s"), { name });
  const count = problems(store.state).filter((one) => one.look === "bad" || one.look === "warn").length;
  if (look === "good" || count === 0) return name;
  return `${plural("%(count)s problem", "%(count)s problems", count)} – ${name}`;
}

customElements.define("clp-live", Live);
customElements.define("clp-banner", Banner);
