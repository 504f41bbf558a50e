/** The age of a datum, counting on by itself: a number that stops growing would be a lie. */

import { _, age, duration, fill } from "./text.js";

const TICK_MS = 250;
// Each tick lays the page out again: more ages than that are counted together, once a second and in whole seconds.
const MANY = 12;
const OLD_S = 3;
const shown = new Set();

class Age extends HTMLElement {
  static observedAttributes = ["born"];
  #born = 0;

  connectedCallback() {
    shown.add(this);
    this.tick();
  }

  disconnectedCallback() {
    shown.delete(this);
  }

  attributeChangedCallback(_name, _before, born) {
    this.born = Number(born);
  }

  /** Local ms at which the datum was true; 0: nobody knows. */
  set born(born) {
    if (born === this.#born && this.firstChild) return;
    const known = this.#born > 0;
    this.#born = born;
    // Good and bad news shows at once, the rest with the next tick.
    if (shown.size <= MANY || known !== born > 0 || this.isOld() !== this.hasAttribute("data-old")) this.tick();
  }

  isOld() {
    return !((Date.now() - this.#born) / 1000 <= OLD_S);
  }

  tick() {
    const text = this.#born > 0 ? fill(_("%(age)s old"), { age: words((Date.now() - this.#born) / 1000) }) : _("age unknown");
    if (this.firstChild?.nodeType !== Node.TEXT_NODE) this.textContent = text;
    else if (this.firstChild.data !== text) this.firstChild.data = text;
    this.toggleAttribute("data-old", this.isOld());
  }
}

/** Of many ages none is told too low. */
const words = (seconds) => (shown.size > MANY ? duration(Math.ceil(seconds)) : age(seconds));

customElements.define("clp-age", Age);
let ticks = 0;
setInterval(() => {
  ticks += 1;
  if (!document.hidden && (shown.size <= MANY || ticks % 4 === 0)) shown.forEach((element) => element.tick());
}, TICK_MS);
