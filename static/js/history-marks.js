/** Marks on the time line: a shape for each kind, so that colour is not needed to tell them apart. */

import { h } from "./dom.js";
import { sentence } from "./sentence.js";
import { _ } from "./text.js";

// Drawn around the middle of the line.
const SHAPES = {
  failover: "M0-9L7 0L0 9L-7 0Z",
  down: "M-7-6H7L0 7Z",
  error: "M-7-4L-4-7L0-3L4-7L7-4L3 0L7 4L4 7L0 3L-4 7L-7 4L-3 0Z",
  drill: "M-4-7H4L8 0L4 7H-4L-8 0Z",
  request: "M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6Z",
  move: "M-6-6L6 0L-6 6Z",
  change: "M-5-5H5V5H-5Z",
  up: "M0-7L7 6H-7Z",
};
const WORDS = {
  failover: _("Failover"),
  down: _("Server lost or stopped"),
  error: _("Error"),
  drill: _("Drill"),
  request: _("Operator's request"),
  move: _("Move or restart of a group"),
  change: _("Change of the configuration"),
  up: _("Server joined"),
};

export function mark(one, x, onclick) {
  return h("svg", { key: one.id, class: "mark", "data-mark": one.kind, x, y: 19, overflow: "visible" },
    h("path", { d: SHAPES[one.kind], onclick }, h("title", null, `${WORDS[one.kind]}: ${sentence(one).text}`)));
}

/** Shape and word. */
export function markWord(kind) {
  return h("span", { class: "mark-kind", "data-mark": kind },
    h("svg", { viewBox: "-10 -10 20 20", "aria-hidden": "true" }, h("path", { d: SHAPES[kind] })), WORDS[kind]);
}
