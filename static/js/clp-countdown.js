/** Seconds that are left, counting down by itself; the server's word is right, this only goes on from it. */

import { duration } from "./text.js";

const shown = new Set();

class Countdown extends HTMLElement {
  static observedAttributes = ["data-left"];

  #ends = 0;

  attributeChangedCallback(_name, _old, left) {
    this.#ends = performance.now() + 1000 * Number(left);
    this.tick();
  }

  connectedCallback() {
    shown.add(this);
  }

  disconnectedCallback() {
    shown.delete(this);
  }

  tick() {
    const text = duration(Math.max(0, (this.#ends - performance.now()) / 1000));
    if (text !== this.textContent) this.textContent = text;
  }
}

customElements.define("clp-countdown", Countdown);
setInterval(() => shown.forEach((one) => one.tick()), 250);
