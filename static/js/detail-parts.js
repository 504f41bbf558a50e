/** Pieces that the details of several kinds of objects share. */

import { bornOf } from "./ages.js";
import { chain } from "./causes.js";
import { h } from "./dom.js";
import { badge } from "./look.js";
import { current, link } from "./route.js";
import { sentence } from "./sentence.js";
import { store } from "./store.js";
import { _, duration, fill, moment, stamp } from "./text.js";

/** Kind, name, state and age; the age is that of the oldest word on which the state rests. */
export function heading(kind, object, born = bornHere(), route = "") {
  return h("header", { class: "heading" },
    h("p", { class: "kind" }, kind),
    h("h2", { id: "detail-title" }, object.name),
    badge(object.status, { kind: route }),
    born !== undefined && h("clp-age", { born, opaque: true }),
    object.comment && h("p", { class: "comment" }, object.comment));
}

function bornHere() {
  const here = current();
  return store.state.status ? bornOf(store.state, here.kind, here.name) : undefined;
}

/** Rows of term and description; rows without a description are left out. */
export function facts(...rows) {
  const shown = rows.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  return h("dl", { class: "facts" }, shown.map(([term, value]) => h("div", { key: term }, h("dt", null, term), h("dd", null, value))));
}

export function section(title, ...content) {
  return h("section", { key: title }, h("h3", null, title), ...content);
}

/** A table; columns are names, rows are lists of cells; the first cell is the row's head. */
export function table(columns, rows) {
  if (rows.length === 0) return h("p", { class: "none" }, _("None"));
  const head = h("thead", null, h("tr", null, columns.map((name) => h("th", { scope: "col" }, name))));
  const body = rows.map((row) => (Array.isArray(row) ? line(row) : row));
  return h("div", { class: "table" }, h("table", null, head, h("tbody", null, body)));
}

/** A row by itself, for those that are made once and kept (memo.js). */
export const line = ([first, ...cells]) => h("tr", null, h("th", { scope: "row" }, first), cells.map((cell) => h("td", null, cell)));

export const to = (kind, name) => h("a", { href: link(kind, name) }, name);

export function sinceFact(seconds, skew) {
  if (!seconds) return "";
  const now = Date.now() / 1000 + skew;
  return fill(_("%(time)s (%(duration)s)"), { time: moment(seconds), duration: duration(now - seconds) });
}

/** The causes of an event as nested sentences: "…, because …, because …". */
export function story(events, note) {
  return h("ol", { class: "story" }, tell(chain(events, note)));
}

function tell({ note, because }) {
  return h("li", { key: note.id },
    h("p", null, h("time", { datetime: new Date(note.time * 1000).toISOString() }, stamp(note.time)), " ", noteText(note)),
    note.rule && h("p", { class: "rule" }, fill(_("Rule: %(rule)s"), { rule: note.rule })),
    because.length > 0 && h("div", { class: "because" },
      h("span", { class: "word" }, _("because")),
      h("ol", null, because.map(tell))));
}

/** The sentence of an event, marked with its language where the page has another one. */
export function noteText(note) {
  const { text, foreign } = sentence(note);
  return h("span", { lang: foreign ? "en" : null }, text);
}

/** Buttons that lead to the preview of an operation; only for those who may. */
export function operations(target, list) {
  if (document.body.dataset.mayOperate !== "yes") return null;
  return h("p", { class: "operations" }, list.filter(Boolean).map(([op, label, danger]) =>
    h("a", { key: op, class: danger ? "button danger" : "button", href: `/operate/?${new URLSearchParams({ op, target })}`, "data-operate": true, role: "button" }, label)));
}
