/** The age of a datum, counting on by itself: a number that stops growing would be a lie. */

import { _, age, fill } from "./text.js";

const TICK_MS = 250;
const MANY = 12; // Each tick lays the page out again: of more ages than that each is counted once a second.
const OLD_S = 3;
const shown = new Set();

class Age extends HTMLElement {
  static observedAttributes = ["born"];

  connectedCallback() {
    shown.add(this);
    this.tick();
  }

  disconnectedCallback() {
    shown.delete(this);
  }

  attributeChangedCallback() {
    this.tick();
  }

  tick() {
    const born = Number(this.getAttribute("born"));
    const seconds = (Date.now() - born) / 1000;
    const text = born > 0 ? fill(_("%(age)s old"), { age: age(seconds) }) : _("age unknown");
    if (this.textContent !== text) this.textContent = text;
    this.toggleAttribute("data-old", !(seconds <= OLD_S));
  }
}

customElements.define("clp-age", Age);
let ticks = 0;
setInterval(() => {
  ticks += 1;
  if (!document.hidden && (shown.size <= MANY || ticks % 4 === 0)) shown.forEach((element) => element.tick());
}, TICK_MS);
