/** How a state looks: one of six shapes with its colour; the word always stands beside it. */

import { h } from "./dom.js";
import { word } from "./text.js";

const LOOKS = {
  Online: "good",
  Normal: "good",
  info: "info",
  "Online Pending": "busy",
  "Offline Pending": "busy",
  Caution: "warn",
  "One way": "warn",
  warning: "warn",
  Suspend: "warn",
  Error: "bad",
  error: "bad",
  "Online Failure": "bad",
  "Offline Failure": "bad",
  Offline: "idle",
  Unused: "idle",
  Silent: "idle",
  Unknown: "unknown",
};

/** A server that is offline is a loss, unlike a group or monitor that has nothing to do there. */
export const look = (state, kind) => (kind === "server" && state === "Offline" ? "down" : LOOKS[state] ?? "unknown");

/** Shape and word. */
export const badge = (state, { text, kind } = {}) => h("span", { class: "state", "data-look": look(state, kind) }, text ?? word(state));

/** Shape alone where the word stands elsewhere in the same line. */
export const glyph = (state) => h("span", { class: "glyph", "data-look": look(state), "aria-hidden": "true" });
