/** Details of a failover group and of a resource. */

import { decision } from "./causes.js";
import { facts, heading, operations, section, sinceFact, story, table, to } from "./detail-parts.js";
import { h } from "./dom.js";
import { badge } from "./look.js";
import { newest, pageOf } from "./measures-words.js";
import { pageOf as mirrorPage, sentence } from "./mirrors-problems.js";
import { addresses } from "./placement.js";
import { spoken } from "./spoken.js";
import { _, fill } from "./text.js";

export function groupView(state, name) {
  const { status, events } = state;
  const group = status.groups[name];
  if (!group) return null;
  const monitors = Object.values(status.monitors).filter((one) => one.target === name || group.resources.includes(one.target));
  const why = decision(events, name);
  return [
    heading(_("Failover group"), group, state.born[group.current]),
    group.detail && h("p", { class: "remark", "data-look": group.active_on.length > 1 ? "bad" : "warn" }, spoken(group.detail)),
    operations(name, buttons(group)),
    facts(
      [_("Runs on"), group.active_on.length > 0 ? h("span", null, group.active_on.map((server) => [to("server", server), " "])) : _("no server")],
      [_("Address"), addresses(status, group).join(", ")],
      [_("Since"), sinceFact(group.since, state.skew)],
      [_("Shall run on"), group.held ? _("no server: stopped by an operator") : group.goal && to("server", group.goal)],
      [_("Startup"), group.autostart ? _("automatic") : _("manual")],
    ),
    pageOf("group", name),
    section(_("Why here"), why ? story(events, why) : h("p", { class: "none" }, _("The event log does not reach that far back."))),
    section(_("Servers, in the order of its policy"), table([_("Server"), _("Group there"), _("Server is")], group.policy.map((server) => policyRow(status, group, server)))),
    section(_("Resources"), table([_("Name"), _("Type"), _("State")], group.resources.map((one) => resourceRow(status.resources[one], one)))),
    section(_("Monitors"), table([_("Name"), _("Watches"), _("State")], monitors.map((one) => [to("monitor", one.name), one.target, badge(one.status)]))),
  ];
}

function buttons(group) {
  const active = group.active_on.length > 0;
  return active
    ? [["group_move", _("Move …")], ["group_stop", _("Stop …"), true]]
    : [["group_start", _("Start …")]];
}

function policyRow(status, group, server) {
  const there = group.servers[server] ?? { status: "Unknown", detail: "" };
  const home = server === group.home && h("span", { class: "tag" }, _("home"));
  return [
    h("span", null, to("server", server), " ", home),
    h("span", null, badge(there.status), there.detail && h("span", { class: "comment" }, spoken(there.detail))),
    status.servers[server] ? badge(status.servers[server].status, { kind: "server" }) : "",
  ];
}

function resourceRow(resource, name) {
  if (!resource) return [name, "", ""];
  const type = h("span", null, resource.type, resource.address && h("span", { class: "comment mono" }, resource.address));
  return [to("resource", name), type, h("span", null, badge(resource.status), resource.detail && h("span", { class: "comment" }, spoken(resource.detail)))];
}

export function resourceView(state, name) {
  const { status, events } = state;
  const resource = status.resources[name];
  if (!resource) return null;
  const monitors = Object.values(status.monitors).filter((one) => one.target === name);
  const last = events.findLast((note) => note.kind === "resource" && note.name === name);
  return [
    heading(_("Resource"), resource, state.born[resource.current]),
    resource.detail && h("p", { class: "remark", "data-look": "warn" }, spoken(resource.detail)),
    facts(
      [_("Type"), resource.type],
      [_("Address"), resource.address],
      [_("Group"), resource.group && to("group", resource.group)],
      [_("Active on"), resource.current ? to("server", resource.current) : _("no server")],
      [_("Mirror disk"), mirrorLink(status.mirrors?.[name])],
    ),
    pageOf("resource", name),
    section(_("On each server"), table([_("Server"), _("State"), _("Remark")], Object.entries(resource.servers).map(([server, one]) => [to("server", server), badge(one.status), spoken(one.detail)]))),
    section(_("Monitors"), table([_("Name"), _("State"), _("Newest run")], monitors.map((one) => [to("monitor", one.name), badge(one.status), newestRun(one)]))),
    last && section(_("Newest event"), story(events, last)),
  ];
}

/** What matters most of it, and where all of it stands. */
function mirrorLink(mirror) {
  if (!mirror) return null;
  const [, code, values] = mirror.facts[0];
  return h("span", null, h("a", { href: mirrorPage(mirror.name) }, _("Both sides")), " ", h("span", { class: "comment" }, sentence(code, values)));
}

/** How long the newest runs of a monitor took, where it runs. */
function newestRun(monitor) {
  const runs = Object.entries(monitor.servers).filter(([, one]) => newest(one) !== "");
  return runs.map(([server, one]) => fill(_("%(length)s on %(server)s"), { length: newest(one), server })).join(", ");
}

