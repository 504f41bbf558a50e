/** The event log, newest first, with a box to narrow it and the causes of each event. */

import { acknowledgement, send } from "./acknowledge.js";
import { ClpElement } from "./clp-element.js";
import { noteText, story } from "./detail-parts.js";
import { h } from "./dom.js";
import { withCluster } from "./here.js";
import { badge } from "./look.js";
import { link } from "./route.js";
import { sentence } from "./sentence.js";
import { _, moment, plural, stamp } from "./text.js";

const PAGE = 100;

class Events extends ClpElement {
  #find = "";
  #severity = "";
  #open = new Set();
  #shown = PAGE;
  #lines = new WeakMap(); // note -> {day, ack, line}: nothing else of a closed line ever changes
  #problem = "";

  inputs(state) {
    return [state.events, state.acknowledged, today()];
  }

  view(state) {
    const found = state.events.filter((note) => this.#matches(note)).reverse();
    const rest = found.length - this.#shown;
    const more = () => {
      this.#shown += PAGE;
      this.redraw();
    };
    return h("div", { class: "events" },
      this.#filter(found.length),
      this.#problem && h("p", { class: "remark", "data-look": "bad", role: "alert" }, this.#problem),
      found.length === 0 && h("p", { class: "none" }, state.events.length === 0 ? _("No events yet.") : _("No event matches.")),
      h("ol", { class: "notes" }, found.slice(0, this.#shown).map((note) => this.#note(state, note))),
      rest > 0 && h("button", { type: "button", class: "quiet", onclick: more }, plural("%(count)s older event", "%(count)s older events", rest)),
      h("p", { class: "none" }, h("a", { href: withCluster("/events/") }, _("All events, with filter and download"))));
  }

  #filter(count) {
    const choose = (event) => {
      this.#severity = event.target.value;
      this.redraw();
    };
    const type = (event) => {
      this.#find = event.target.value.trim().toLowerCase();
      this.#shown = PAGE;
      this.redraw();
    };
    const options = [["", _("All")], ["warning", _("Warnings and errors")], ["error", _("Errors")]];
    return h("div", { class: "filter", role: "search", key: "filter" },
      h("label", null, h("span", { class: "unseen" }, _("Find in events")), h("input", { type: "search", placeholder: _("Find in events"), oninput: type })),
      h("label", null, h("span", { class: "unseen" }, _("Severity")), h("select", { onchange: choose }, options.map(([value, text]) => h("option", { value, selected: value === this.#severity }, text)))),
      h("span", { class: "count", "aria-live": "polite" }, plural("%(count)s event", "%(count)s events", count)));
  }

  #matches(note) {
    if (this.#severity === "error" && note.severity !== "error") return false;
    if (this.#severity === "warning" && note.severity === "info") return false;
    if (!this.#find) return true;
    return `${sentence(note).text} ${note.name} ${note.server} ${note.module}:${note.event}`.toLowerCase().includes(this.#find);
  }

  #note(state, note) {
    const { events } = state;
    const ack = state.acknowledged?.[note.id];
    if (this.#open.has(note.id)) return this.#line(events, note, ack);
    const day = today();
    const known = this.#lines.get(note);
    if (known?.day === day && known.ack === ack) return known.line;
    const line = this.#line(events, note, ack);
    this.#lines.set(note, { day, ack, line });
    return line;
  }

  #line(events, note, ack) {
    const open = this.#open.has(note.id);
    const toggle = (event) => {
      if (event.target.open === this.#open.has(note.id)) return;
      if (event.target.open) this.#open.add(note.id);
      else this.#open.delete(note.id);
      this.redraw();
    };
    const kind = note.kind === "request" ? "" : note.kind;
    return h("li", { key: note.id, "data-severity": note.severity, "data-id": note.id },
      h("time", { datetime: new Date(note.time * 1000).toISOString() }, h("a", { href: withCluster(`/history/?event=${encodeURIComponent(note.id)}`), title: _("Show the state at this time") }, when(note.time))),
      badge(note.severity),
      h("span", { class: "source mono" }, `${note.module}:${note.event}`),
      h("span", { class: "text" }, noteText(note)),
      h("span", { class: "object" }, kind && h("a", { href: link(kind, note.name) }, note.name || note.kind)),
      note.causes.length > 0 && h("details", { open, ontoggle: toggle }, h("summary", null, _("Why?")), open && story(events, note)),
      acknowledgement(note, ack, this.#acknowledge));
  }

  /** Browsers learn of it over their sockets, this one as well. */
  #acknowledge = async (note) => {
    const done = await send({ one: note.id });
    this.#problem = done ? "" : _("It is not acknowledged: the manager refused it or was not reached. Try again.");
    this.redraw();
  };
}

const today = () => new Date().toDateString();

/** With tenths today, with the date before. */
const when = (seconds) => (moment(seconds).includes(" ") ? moment(seconds) : stamp(seconds));

customElements.define("clp-events", Events);
