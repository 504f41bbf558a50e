/** The time line with its slider, the buttons that play and step, and what happened at the place where it stands. */

import { ClpElement } from "./clp-element.js";
import { noteText } from "./detail-parts.js";
import { h } from "./dom.js";
import { mark, markWord } from "./history-marks.js";
import { SPEEDS, replay } from "./history-replay.js";
import { badge } from "./look.js";
import { link } from "./route.js";
import { sentence } from "./sentence.js";
import { _, duration, fill, plural, stamp } from "./text.js";

const HOUR_S = 3600;
const SPANS = [HOUR_S / 4, HOUR_S, 6 * HOUR_S, 24 * HOUR_S, 7 * 24 * HOUR_S, 0];
const TICKS = 1000; // positions of the slider
const LISTED = 400;
const LINE_EVERY_MS = 4000; // while it plays

class Player extends ClpElement {
  #line = { begin: 0, end: 1, marks: [], gaps: [], range: null };
  #span = HOUR_S;
  #marked = {}; // the marks of a line, drawn once
  #asked = 0;
  #open = false;
  #moved = () => this.#follow();

  connectedCallback() {
    replay.addEventListener("change", this.#moved);
    super.connectedCallback();
  }

  disconnectedCallback() {
    replay.removeEventListener("change", this.#moved);
    super.disconnectedCallback();
  }

  begin(line, span) {
    this.#line = line;
    this.#span = span;
    this.redraw();
  }

  knows() {
    return true;
  }

  inputs() {
    return [replay.at, replay.event, replay.playing, replay.speed, replay.skip, replay.busy, replay.trouble, replay.range, replay.recorded, this.#line];
  }

  /** The part of the line that is shown goes along when the reader has left it. */
  #follow() {
    this.redraw();
    const { begin, end } = this.#line;
    if (replay.at < begin || replay.at > end) this.#turn();
  }

  async #turn() {
    if (this.#asked && performance.now() - this.#asked < (replay.playing ? LINE_EVERY_MS : 300)) return;
    this.#asked = performance.now();
    const { begin, end } = this.#window();
    const line = await replay.line(begin, end);
    this.#asked = replay.playing ? this.#asked : 0;
    if (line) this.#line = line;
    if (line?.range) replay.range = line.range; // It goes on meanwhile.
    this.redraw();
  }

  /** As webmanager/history/answers.py: the place in the middle, unless less was recorded on one side of it. */
  #window() {
    const { range, at } = replay;
    if (!range) return { begin: at - HOUR_S, end: at };
    const [first, last] = [Math.min(range.begin, at), Math.max(range.end, at)];
    if (this.#span === 0 || last - first <= this.#span) return { begin: first, end: Math.max(last, first + 60) };
    const begin = Math.min(Math.max(at - this.#span / 2, first), last - this.#span);
    return { begin, end: begin + this.#span };
  }

  view() {
    return h("div", { class: "machine", role: "group", "aria-label": _("Time line"), "aria-busy": String(replay.busy) },
      replay.range ? [this.#rail(), this.#controls(), this.#told(), this.#list()] : h("p", { class: "empty" }, _("Nothing was recorded yet. Recording begins by itself as soon as a server reports.")));
  }

  #rail() {
    const { begin, end } = this.#line;
    const width = end - begin;
    const tick = Math.round((TICKS * (replay.at - begin)) / width);
    if (this.#marked.line !== this.#line) this.#marked = { line: this.#line, picture: marksOf(this.#line) };
    return h("div", { class: "rail-of-time", key: "rail" },
      this.#marked.picture,
      h("input", {
        type: "range", min: 0, max: TICKS, step: 1, value: tick, "aria-label": _("Time"), "aria-valuetext": moment(replay.at),
        "aria-describedby": "player-keys",
        oninput: (event) => replay.seek(begin + (width * event.target.value) / TICKS), onkeydown: (event) => this.#key(event),
      }),
      h("div", { class: "ends", "aria-hidden": "true" }, h("span", null, moment(begin)), h("span", null, moment(end))));
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = event.shiftKey
      ? { ArrowLeft: () => replay.step(-1), ArrowRight: () => replay.step(1) }
      : { " ": () => this.#toggle(), Home: () => replay.seek(this.#line.begin), End: () => replay.seek(Math.min(this.#line.end, replay.range.end)) };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  /** At its end it begins anew with the part that is shown. */
  #toggle() {
    if (replay.playing) return replay.pause();
    if (replay.at >= replay.range.end - 0.01) replay.seek(Math.max(this.#line.begin, replay.range.begin));
    return replay.play();
  }

  #controls() {
    const speed = (event) => replay.set({ speed: Number(event.target.value) });
    const skip = (event) => replay.set({ skip: event.target.checked });
    const span = (event) => {
      this.#span = Number(event.target.value);
      this.#asked = 0;
      this.#turn();
    };
    return h("div", { class: "controls", key: "controls" },
      h("button", { type: "button", class: "small", onclick: () => replay.step(-1) }, _("Previous event")),
      h("button", { type: "button", class: "small primary play", "aria-pressed": String(replay.playing), onclick: () => this.#toggle() }, replay.playing ? _("Pause") : _("Play")),
      h("button", { type: "button", class: "small", onclick: () => replay.step(1) }, _("Next event")),
      h("label", null, _("Speed"), " ", h("select", { onchange: speed }, SPEEDS.map((one) => h("option", { value: one, selected: one === replay.speed }, fill(_("%(n)s times"), { n: one }))))),
      h("label", null, h("input", { type: "checkbox", checked: replay.skip, onchange: skip }), " ", _("Skip quiet times")),
      h("label", null, _("Time line shows"), " ", h("select", { onchange: span }, SPANS.map((one) => h("option", { value: one, selected: one === this.#span }, spanName(one))))),
      h("form", { class: "jump", onsubmit: (event) => jump(event) },
        h("label", null, _("Go to"), " ", h("input", { type: "datetime-local", step: 1, name: "at", required: true })),
        h("button", { class: "small" }, _("Go"))),
      h("p", { class: "hint", id: "player-keys" }, _("On the slider: arrows move, Shift and arrows go from event to event, Home and End to its ends, Space plays.")));
  }

  /** Where it stands, and what happened there. */
  #told() {
    const note = replay.note;
    return h("div", { class: "told", key: "told" },
      h("p", { class: "then" }, h("time", { datetime: new Date(replay.at * 1000).toISOString() }, moment(replay.at, true)), " ", ago(),
        replay.busy && h("span", { class: "state", "data-look": "busy" }, _("Loading"))),
      h("div", { role: "status", class: "newest" }, note && !replay.playing && h("p", null, badge(note.severity), " ", h("span", { class: "muted" }, stamp(note.time)), " ", noteText(note), " ",
        note.kind !== "request" && note.name && h("a", { href: link(note.kind, note.name) }, note.name))),
      !replay.recorded && h("p", { class: "remark", "data-look": "unknown", key: "gap" }, _("This time was not recorded: the manager did not run, or heard no server. What you see is the newest state known before it.")),
      replay.trouble && h("p", { class: "remark", "data-look": "bad", role: "alert", key: "trouble" }, fill(_("The manager could not answer: %(why)s"), { why: replay.trouble })));
  }

  /** The marks in words. */
  #list() {
    const { marks } = this.#line;
    const toggle = (event) => {
      if (event.target.open === this.#open) return;
      this.#open = event.target.open;
      this.redraw();
    };
    const gaps = this.#line.gaps;
    return h("details", { class: "marked", key: "marked", open: this.#open, ontoggle: toggle },
      h("summary", null, plural("%(count)s mark on this time line", "%(count)s marks on this time line", marks.length)),
      this.#open && h("ul", { class: "plain" },
        gaps.slice(0, LISTED).map((gap) => h("li", { key: `gap${gap.begin}` }, h("span", { class: "state", "data-look": "unknown" }, _("Not recorded")), " ", fill(_("from %(from)s to %(to)s"), spanWords(gap)))),
        marks.slice(-LISTED).reverse().map((one) => h("li", { key: one.id },
          h("a", { href: `?${new URLSearchParams({ cluster: replay.cluster, event: one.id })}`, onclick: (event) => go(event, one.id) }, moment(one.at)), " ",
          markWord(one.kind), " ", words(one), " ", one.count > 1 && h("span", { class: "tag" }, plural("and %(count)s more", "and %(count)s more", one.count - 1))))));
  }
}

function marksOf({ begin, end, marks, gaps }) {
  const x = (at) => `${(100 * Math.min(1, Math.max(0, (at - begin) / (end - begin)))).toFixed(3)}%`;
  return h("svg", { class: "marks", key: "marks", "aria-hidden": "true" },
    h("rect", { class: "ground", x: 0, y: 16, width: "100%", height: 6 }),
    gaps.map((gap) => h("rect", { class: "gap", x: x(gap.begin), y: 13, width: part(gap, begin, end), height: 12 }, h("title", null, fill(_("Not recorded from %(from)s to %(to)s"), spanWords(gap))))),
    marks.map((one) => mark(one, x(one.at), () => replay.seek(0, one.id))));
}

function words(one) {
  const { text, foreign } = sentence(one);
  return h("span", { lang: foreign ? "en" : null }, text);
}

function go(event, id) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  replay.seek(0, id);
}

function jump(event) {
  event.preventDefault();
  const at = new Date(new FormData(event.target).get("at")).getTime() / 1000;
  if (Number.isFinite(at)) replay.seek(at);
}

function part(gap, begin, end) {
  const width = Math.min(gap.end ?? end, end) - Math.max(gap.begin, begin);
  return `${Math.max(0.15, (100 * width) / (end - begin)).toFixed(3)}%`;
}

const spanWords = (gap) => ({ from: moment(gap.begin), to: gap.end === null ? _("now") : moment(gap.end) });
const spanName = (seconds) => (seconds ? duration(seconds).replace(/ 0 .*$/u, "") : _("all"));

const ago = () => h("span", { class: "ago" }, fill(_("%(time)s ago"), { time: duration(Math.max(0, Date.now() / 1000 - replay.at)) }));

const two = (number) => String(number).padStart(2, "0");

/** Always with its date: a time without one could be today's. */
export function moment(seconds, tenths = false) {
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return tenths ? `${day} ${clock}.${Math.floor(date.getMilliseconds() / 100)}` : `${day} ${clock}`;
}

customElements.define("clp-player", Player);
