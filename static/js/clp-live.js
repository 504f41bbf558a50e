/** Says how fresh the page is: a small mark while live, a banner when not, and the tab's title and icon. */

import { ClpElement } from "./clp-element.js";
import { h } from "./dom.js";
import { problems, worst } from "./problems.js";
import { store } from "./store.js";
import { _, clock, fill, plural } from "./text.js";

const MARKS = { good: "✓", warn: "▲", bad: "✕", unknown: "?", paused: "⏸" };

class Live extends ClpElement {
  knows() {
    return true;
  }

  inputs() {
    return [store.slowAt];
  }

  view() {
    const [look, text] = mark();
    return h("span", null, h("span", { class: "state", "data-look": look }, text), slow());
  }
}

function mark() {
  if (store.link === "paused") return ["unknown", _("Paused")];
  if (store.stale || store.link === "forbidden" || store.link === "gone") return ["bad", _("Not live")];
  if (store.link !== "live") return ["busy", _("Connecting")];
  return store.silent ? ["warn", _("Live, but no server is heard")] : ["good", _("Live")];
}

/** Nothing is lost by it, but whoever sees jumps shall know why. */
function slow() {
  if (!store.slowAt) return null;
  const text = fill(_("began anew at %(time)s: this browser read too slowly"), { time: clock(store.slowAt / 1000) });
  return h("span", { class: "slow" }, text);
}

class Banner extends ClpElement {
  knows() {
    return true;
  }

  inputs() {
    return [store.upgraded];
  }

  view() {
    const said = sentence();
    return h("div", { role: "status" },
      h("div", { class: "banner", hidden: !said, "data-look": store.stale ? "bad" : "warn" }, said),
      store.upgraded && h("div", { class: "banner upgraded", "data-look": "warn" }, upgraded(), " ", h("a", { href: location.href, onclick: reload }, _("Reload"))));
  }
}

function sentence() {
  if (store.link === "forbidden") return _("You may not watch this cluster. Ask an administrator for the right to do so.");
  if (store.link === "gone") return _("This cluster is no longer known to the manager. Choose another one.");
  const time = clock(store.heardAt / 1000);
  if (store.link === "paused") return fill(_("Paused since nobody looked at this page; what you see is of %(time)s."), { time });
  if (store.stale) return fill(_("Not live since %(time)s. What you see is old; trying to reach the manager."), { time });
  if (!store.silent) return "";
  return fill(_("The manager has heard no server since %(time)s. What you see is of then; the cluster itself may be well. Look at it with clpstat on a server, and check the way from the servers to the manager."), { time: clock(store.silent / 1000) });
}

const upgraded = () => fill(_("The manager is now version %(version)s; this page is of another one. Reload it before you go on."), { version: store.upgraded });

function reload(event) {
  event.preventDefault();
  location.reload();
}

/** Title and icon follow even in a hidden tab: that is where they are needed. */
export function followInTab() {
  const icon = document.getElementById("favicon");
  const plain = document.title;
  let shown = "";
  store.addEventListener("change", () => {
    const look = store.link === "paused" ? "paused" : store.stale || store.silent ? "unknown" : worst(store.state);
    const title = `${MARKS[look]} ${tabTitle(look, plain)}`;
    if (title === shown) return;
    shown = title;
    document.title = title;
    if (icon) icon.href = icon.dataset[look] ?? icon.dataset.unknown;
  });
}

function tabTitle(look, plain) {
  const name = store.state.status?.cluster.name ?? plain;
  if (look === "paused") return fill(_("paused – %(name)s"), { name });
  if (store.stale) return fill(_("not live – %(name)s"), { name });
  if (store.silent) return fill(_("no server is heard – %(name)s"), { name });
  const count = problems(store.state).filter((one) => one.look === "bad" || one.look === "warn").length;
  if (look === "good" || count === 0) return name;
  return `${plural("%(count)s problem", "%(count)s problems", count)} – ${name}`;
}

customElements.define("clp-live", Live);
customElements.define("clp-banner", Banner);
