/** How long checks take, as people say it; the same rules as webmanager/measures/words.py. */

import { h } from "./dom.js";
import { _, fill } from "./text.js";

const WHY = {
  worst: _("twice the longest answer"),
  tail: _("one answer in 10 000 may take that long"),
  warning: _("the longest answer stays below the delay warning"),
  least: _("never less than a second: a loaded machine needs more now and then"),
};
const NEAR_PERCENT = 50;

/** "0.8 ms", "12 ms", "1.5 s". */
export function length(ms) {
  const [value, unit] = ms >= 1000 ? [ms / 1000, _("%(n)s s")] : [ms, _("%(n)s ms")];
  return fill(unit, { n: value >= 10 || value === Math.round(value) ? Math.round(value) : value.toFixed(1) });
}

/** Which timeout a monitor has, and which would be safe. */
export function timeoutWords(monitor) {
  if (!monitor.timeout_ms) return "";
  const has = length(monitor.timeout_ms);
  if (!monitor.proposed_ms) return has;
  const words = fill(_("Proposed: %(length)s or more (%(why)s)"), { length: length(monitor.proposed_ms), why: WHY[monitor.rule] ?? monitor.rule });
  const longer = monitor.proposed_ms > monitor.timeout_ms;
  return h("span", null, has, h("span", { class: longer ? "comment state" : "comment", "data-look": longer ? "warn" : null }, words));
}

/** The newest answers, where the agent has told them, else the newest check. */
export function newest(run) {
  const lately = run.responses?.lately;
  if (lately) return length(lately[1]);
  return run.elapsed_ms > 0 ? length(run.elapsed_ms) : "";
}

/** The longest answer of today as share of the timeout; what was given up beside it. */
export function worst(run) {
  const found = run.responses;
  if (!found?.count) return "";
  const share = fill(_("%(length)s, %(percent)s %"), { length: length(found.worst_ms), percent: found.worst_percent });
  const given = found.timeouts > 0 && h("span", { class: "comment" }, fill(_("%(count)s given up at the timeout"), { count: found.timeouts }));
  return h("span", null, found.worst_percent >= NEAR_PERCENT ? h("span", { class: "state", "data-look": found.worst_percent >= 80 ? "bad" : "warn" }, share) : share, given);
}

/** To the page of an object, which has its chart and its configuration. */
export function pageOf(kind, name) {
  const places = { server: "servers", group: "groups", resource: "resources", monitor: "monitors", heartbeat: "heartbeats" };
  return h("p", { class: "more" }, h("a", { href: `/${places[kind]}/${encodeURIComponent(name)}/` }, PAGES[kind]));
}

const PAGES = {
  server: _("Charts, configuration and history"),
  group: _("Configuration and history"),
  resource: _("Configuration and history"),
  monitor: _("Chart, configuration and history"),
  heartbeat: _("Charts, configuration and history"),
};
