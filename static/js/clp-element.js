/** What all live components share: they draw themselves anew when something changed that they show. */

import { patch } from "./dom.js";
import { store } from "./store.js";

const SHARE = 4; // After drawing, the page has so many times as long for everything else.

export class ClpElement extends HTMLElement {
  #rests = 0; // until then (ms of performance.now) news waits for the next frame
  #frame = 0;
  #due = false;
  #drawn = []; // what the newest drawing was made of
  #heard = () => this.#follow();
  #turned = () => this.redraw();

  connectedCallback() {
    store.addEventListener("change", this.#heard);
    addEventListener("hashchange", this.#turned);
    this.redraw();
  }

  disconnectedCallback() {
    store.removeEventListener("change", this.#heard);
    removeEventListener("hashchange", this.#turned);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** The parts of the state that the view reads; while they are the same objects, nothing is drawn. */
  inputs(state) {
    return [state];
  }

  /** With the next frame. A hidden tab gets no frames: it draws nothing until somebody looks again. */
  redraw() {
    this.#due = true;
    this.#await();
  }

  /** Draws what waits for the next frame: whoever acts on what is shown must not act on what was shown. */
  settle() {
    if (this.#due) this.#now();
  }

  /** Whether there is something to show. Until the manager has said it, what its page brought along stays. */
  knows(state) {
    return state.rev >= 0;
  }

  draw() {
    this.toggleAttribute("data-stale", store.stale || store.silent > 0);
    if (this.knows(store.state)) this.show();
  }

  show() {
    patch(this, [this.view(store.state)]);
  }

  /** News is drawn where it arrives, and not only with the next frame; while the last drawing has not been paid for, what
   * follows waits for it. */
  #follow() {
    if (same(this.#drawn, this.#present())) return;
    if (document.hidden || performance.now() < this.#rests) this.redraw();
    else this.#now();
  }

  #await() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#due) this.#now();
    });
  }

  #now() {
    this.#due = false;
    this.#drawn = this.#present();
    const start = performance.now();
    this.draw();
    const end = performance.now();
    this.#rests = end + SHARE * (end - start);
  }

  #present() {
    return [store.stale, store.link, store.silent, ...this.inputs(store.state)];
  }
}

const same = (one, other) => one.length === other.length && one.every((value, index) => value === other[index]);
