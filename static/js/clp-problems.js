/** The strip on top: what is wrong, since when, what next. */

import { ClpElement } from "./clp-element.js";
import { h } from "./dom.js";
import { allWell, problems } from "./problems.js";
import { link } from "./route.js";
import { marked } from "./spoken.js";
import { store } from "./store.js";
import { _, clock, duration, fill, plural } from "./text.js";

const FIRST = 5;

class Problems extends ClpElement {
  #all = false;

  view(state) {
    if (!state.status) return h("p", { class: "empty" }, _("No cluster has reported to this manager yet."));
    const found = problems(state);
    if (found.length === 0) {
      if (store.stale) return h("p", { class: "well" }, fill(_("When last heard, at %(time)s, nothing was wrong."), { time: clock(store.heardAt / 1000) }));
      return h("p", { class: "well" }, h("span", { class: "glyph", "data-look": "good", "aria-hidden": "true" }), allWell(state.status));
    }
    const shown = this.#all ? found : found.slice(0, FIRST);
    const now = Date.now() / 1000 + state.skew;
    return h("div", { class: "problems" },
      h("ul", null, shown.map((problem) => line(problem, now))),
      found.length > FIRST && this.#more(found.length - FIRST));
  }

  #more(hidden) {
    const label = this.#all ? _("Show fewer") : plural("Show %(count)s more", "Show %(count)s more", hidden);
    const toggle = () => {
      this.#all = !this.#all;
      this.redraw();
    };
    return h("button", { type: "button", class: "quiet", "aria-expanded": String(this.#all), onclick: toggle }, label);
  }
}

function line(problem, now) {
  const looks = { bad: _("Error"), warn: _("Warning"), busy: _("In progress"), note: _("Note") };
  return h("li", { key: problem.key, "data-look": problem.look },
    h("span", { class: "state", "data-look": problem.look }, looks[problem.look]),
    h("a", { class: "what", href: problem.href ?? link(problem.kind, problem.name) }, marked(problem.text, problem.english)),
    h("span", { class: "next" }, problem.why && h("span", { class: "why" }, marked(problem.why, problem.english), " "), problem.next),
    h("span", { class: "since" }, problem.since > 0 && fill(_("for %(time)s"), { time: duration(now - problem.since) })));
}

customElements.define("clp-problems", Problems);
