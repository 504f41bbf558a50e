/** The mark beside "Events" in the navigation: how many errors nobody has acknowledged. */

import { h, patch } from "./dom.js";
import { plural } from "./text.js";

const MOST = 99;
let shown = -1;

export function showOpenEvents({ error }) {
  const place = document.getElementById("open-events");
  if (!place || error === shown) return;
  shown = error;
  if (!place.clpOwn) place.replaceChildren(); // What came with the page was drawn by the manager.
  place.clpOwn = true;
  const text = plural("%(count)s error is not acknowledged", "%(count)s errors are not acknowledged", error);
  patch(place, error > 0 ? [h("span", { class: "number" }, error > MOST ? `${MOST}+` : String(error)), h("span", { class: "unseen" }, ` ${text}`)] : []);
}
