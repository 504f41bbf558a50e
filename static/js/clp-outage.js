/** Demo only: who answers the clients now, how long they waited, and buttons that break things on purpose. */

import { byPriority } from "./clp-tree.js";
import { ClpElement } from "./clp-element.js";
import { h } from "./dom.js";
import { link } from "./route.js";
import { _, clock, fill } from "./text.js";

const WINDOW_S = 120;

class Outage extends ClpElement {
  view(state) {
    const { outage, status } = state;
    if (!state.demo || !status) return null;
    const clients = Object.entries(outage?.clients ?? {});
    const now = Date.now() / 1000 + state.skew;
    return h("section", { class: "demo" },
      h("header", null, h("span", { class: "tag" }, _("Demo")), h("h2", null, _("What a client sees, and how to break it"))),
      clients.length === 0 ? h("p", { class: "none" }, _("The measuring client has not reported yet.")) : h("ul", { class: "clients" }, clients.map(([group, client]) => clientRow(group, client, now))),
      clients.length > 0 && h("p", { class: "hint" }, _("A client asks each address every 10 ms. The bands show the last two minutes, gaps in red.")),
      faults(outage?.faults ?? []),
      document.body.dataset.mayAdminister === "yes" && controls(status, outage));
  }

}

function clientRow(group, client, now) {
  return h("li", { key: group },
    h("a", { class: "name", href: link("group", group) }, group),
    client.answering
      ? h("span", { class: "state", "data-look": "good" }, fill(_("answered by %(server)s"), { server: client.answering }))
      : h("span", { class: "state", "data-look": "bad" }, _("no answer")),
    h("span", { class: "last" }, lastOutage(client)),
    timeline(group, client, now));
}

/** The last two minutes: a band while somebody answered, a mark where nobody did. */
function timeline(group, client, now) {
  const x = (time) => 100 * Math.min(1, Math.max(0, 1 - (now - time) / WINDOW_S));
  const band = (name, from, to, title) => to > now - WINDOW_S && h("rect", {
    class: name, x: x(from).toFixed(2), y: 0, width: Math.max(0.4, x(to) - x(from)).toFixed(2), height: 12,
  }, h("title", null, title));
  const outages = client.outages ?? [];
  const marks = outages.map((one) => band("down", one.at - one.outage_s, one.at, fill(_("no answer for %(seconds)s s"), { seconds: one.outage_s.toFixed(2) })));
  const silent = !client.answering && band("down", client.since ?? now, now, _("no answer"));
  const label = fill(_("The last %(n)s seconds of %(group)s"), { n: WINDOW_S, group });
  return h("svg", { class: "timeline", viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img", "aria-label": label },
    h("rect", { class: "up", x: 0, y: 3, width: 100, height: 6 }), marks, silent);
}

function lastOutage(client) {
  const newest = client.outages?.at(-1);
  const seconds = newest?.outage_s ?? client.last_outage_s;
  if (!(seconds > 0)) return _("no outage yet");
  const values = { seconds: seconds.toFixed(2), from: newest?.from, to: newest?.to, time: newest && clock(newest.at) };
  return fill(newest ? _("last outage %(seconds)s s, from %(from)s to %(to)s at %(time)s") : _("last outage %(seconds)s s"), values);
}

function faults(list) {
  if (list.length === 0) return null;
  const texts = list.map((fault) => (typeof fault === "string" ? fault : [fault.op, fault.server, fault.lan].filter(Boolean).join(" ")));
  return h("p", { class: "faults" }, h("span", { class: "state", "data-look": "warn" }, _("Faults now")), " ", texts.join(" · "));
}

function controls(status, outage) {
  const servers = byPriority(status).map((server) => server.name);
  const lans = outage?.lans ?? ["ic1", "ic2", "pub"];
  const cuts = (server) => lans.map((lan) => button(fill(_("Cut %(lan)s"), { lan }), { op: "cut", server, lan }));
  const row = (key, label, ...buttons) => h("div", { key, role: "group", "aria-label": label }, h("span", { class: "name" }, label), buttons);
  const perServer = (server) => row(server, server,
    button(_("Crash"), { op: "crash", server }, true),
    button(_("Hang"), { op: "hang", server }, true),
    button(_("Recover"), { op: "recover", server }),
    button(_("Cut all links"), { op: "isolate", server }, true),
    cuts(server));
  return h("div", { class: "breakers" },
    servers.map(perServer),
    row("", _("All servers"), cuts(""), button(_("Heal all"), { op: "heal" })));
}

function button(label, values, danger = false) {
  const spoken = [label, values.server].filter(Boolean).join(" ");
  return h("button", { key: `${values.op}${values.lan ?? ""}`, type: "button", class: danger ? "small danger" : "small", "aria-label": spoken, onclick: () => make(values) }, label);
}

/** What came of it is told in the place below the buttons. */
function make(values) {
  globalThis.htmx?.ajax("POST", "/demo/fault", { source: document.body, target: "#fault-result", swap: "innerHTML", values });
}

customElements.define("clp-outage", Outage);
setInterval(() => document.hidden || document.querySelectorAll("clp-outage").forEach((one) => one.redraw()), 1000);
