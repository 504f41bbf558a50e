/** The age of a datum as it was then: it stands still, because the time that is looked at does. */

import { FRESH, replay } from "./history-replay.js";
import { _, age, fill } from "./text.js";

class Age extends HTMLElement {
  static observedAttributes = ["born"];

  #tick = () => this.tick();

  connectedCallback() {
    replay.addEventListener("change", this.#tick);
    this.tick();
  }

  disconnectedCallback() {
    replay.removeEventListener("change", this.#tick);
  }

  set born(born) {
    this.setAttribute("born", born);
  }

  attributeChangedCallback() {
    this.tick();
  }

  tick() {
    const text = told(Number(this.getAttribute("born")));
    if (this.textContent !== text) this.textContent = text;
    this.toggleAttribute("data-old", text !== "");
  }
}

/** Of a server that was heard there is nothing to say. */
function told(born) {
  if (born === FRESH) return "";
  return born > 0 ? fill(_("%(age)s old then"), { age: age(replay.at - born / 1000) }) : _("age unknown");
}

customElements.define("clp-age", Age);
