/** What all live components share: they draw themselves anew, at most once a frame, when something changed. */

import { patch } from "./dom.js";
import { store } from "./store.js";

export class ClpElement extends HTMLElement {
  #frame = 0;
  #changed = () => this.redraw();

  connectedCallback() {
    store.addEventListener("change", this.#changed);
    addEventListener("hashchange", this.#changed);
    this.redraw();
  }

  disconnectedCallback() {
    store.removeEventListener("change", this.#changed);
    removeEventListener("hashchange", this.#changed);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** A hidden tab gets no frames: it draws nothing until somebody looks again. */
  redraw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  draw() {
    this.toggleAttribute("data-stale", store.stale);
    patch(this, [this.view(store.state)]);
  }
}
