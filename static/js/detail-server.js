/** Details of a server and of a monitor. */

import { facts, heading, operations, section, sinceFact, story, table, to } from "./detail-parts.js";
import { quarantine } from "./detail-partition.js";
import { h } from "./dom.js";
import { badge } from "./look.js";
import { newest, pageOf, timeoutWords, worst } from "./measures-words.js";
import { lans } from "./paths.js";
import { arrangement } from "./placement.js";
import { spoken } from "./spoken.js";
import { _, fill, moment } from "./text.js";

const OLD_S = 3;

export function serverView(state, name) {
  const { status, events } = state;
  const server = status.servers[name];
  if (!server) return null;
  const last = events.findLast((note) => note.kind === "server" && note.name === name);
  const here = arrangement(status).get(name);
  const monitors = Object.values(status.monitors).filter((one) => one.servers[name] && one.servers[name].status !== "Offline");
  return [
    heading(_("Server"), server, state.born[name], "server"),
    quarantine(server),
    server.detail && !server.quarantine && h("p", { class: "remark", "data-look": "warn" }, spoken(server.detail)),
    old(server) && h("p", { class: "remark", "data-look": "unknown" }, _("What stands below is the last that was heard of it; it may have changed since.")),
    server.health?.suspects && h("p", { class: "remark", "data-look": "warn" }, _("This server is short of time: it suspects itself first, and others later.")),
    operations(name, buttons(status, server)),
    facts(
      [_("Priority"), String(server.priority)],
      [_("Follows"), server.coordinator && h("span", null, to("server", server.coordinator), server.coordinator === name && ` ${_("(itself: it coordinates)")}`)],
      [_("View"), server.epoch],
      [_("Reported by"), source(state, server)],
      [_("Watchdog"), watchdog(server)],
    ),
    pageOf("server", name),
    last && section(_("Newest event"), story(events, last)),
    section(_("Groups"), table([_("Name"), _("State")], here.map(({ group, status: word }) => [to("group", group.name), badge(word)]))),
    ...[...lans(status).values()].map((lan) => heartbeatSection(status, server, lan)),
    silenceSection(server),
    resolving(state, server),
    section(_("Monitors"), table([_("Name"), _("State"), _("Newest run"), _("Longest")], monitors.map((one) => monitorRow(one, name)))),
  ];
}

function buttons(status, server) {
  const running = server.status !== "Offline" && server.status !== "Unknown";
  return running
    ? [["server_stop", _("Stop service …"), true], ["server_reboot", _("Reboot …"), true], ["server_shutdown", _("Shut down …"), true]]
    : [["server_start", _("Start service …")], unproven(status, server) && ["fence_confirm", _("Confirm that it is off …"), true]];
}

/** Nobody hears it and no device has proven that it is off: an administrator's word may be what its groups wait for. */
function unproven(status, server) {
  return document.body.dataset.mayAdminister === "yes" && (status.cluster.partition?.silent ?? []).includes(server.name);
}

function source(state, server) {
  const agent = state.agents[server.name];
  if (server.source === server.name) return agent?.connected === false ? _("itself, connection lost") : _("itself");
  return server.source ? fill(_("%(server)s, on its behalf"), { server: server.source }) : _("nobody");
}

function heartbeatSection(status, server, lan) {
  const peers = Object.keys(status.servers).filter((peer) => peer !== server.name);
  const rows = peers.map((peer) => {
    const hears = server.heartbeats[lan.name]?.peers?.[peer];
    const heard = status.servers[peer].heartbeats?.[lan.name]?.peers?.[server.name];
    return [to("server", peer), direction(hears), direction(heard), gap(hears)];
  });
  const title = fill(_("Heartbeat %(lan)s"), { lan: lan.name });
  return section(title, table([_("Peer"), _("Hears it"), _("Is heard"), _("Longest gap")], rows));
}

/** How long this server hears nothing of each other one, by whatever path: what decides. */
function silenceSection(server) {
  const rows = Object.entries(server.hears ?? {}).map(([peer, gaps]) => silenceRow(to("server", peer), gaps));
  if (server.health?.lease) rows.push(silenceRow(_("Renewal of the lease"), server.health.lease));
  if (server.health?.late) rows.push(silenceRow(_("Own lateness"), server.health.late));
  const columns = [_("Peer"), _("Usual"), _("1 in 100 above"), _("1 in 1000 above"), _("Longest"), _("When"), _("Of the timeout")];
  return rows.length > 0 && section(_("Silences today, over all paths"), table(columns, rows));
}

function silenceRow(name, gaps) {
  const figures = [gaps.p50_ms, gaps.p99_ms, gaps.p999_ms, gaps.worst_ms].map((value) => fill(_("%(ms)s ms"), { ms: value.toFixed(value < 10 ? 1 : 0) }));
  return [name, ...figures, gaps.worst_at ? moment(gaps.worst_at) : "", `${gaps.worst_percent} %`];
}

/** What decides at a network partition: ping, majority … */
function resolving(state, server) {
  const found = Object.entries(server.heartbeats).filter(([, one]) => one.type.endsWith("np"));
  return found.length > 0 && section(_("Partition resolution"), table([_("Name"), _("State"), _("Since"), _("Remark")], found.map(([name, one]) => [
    to("resolver", name), badge(one.status), sinceFact(one.since, state.skew), spoken(one.detail),
  ])));
}

/** It is not heard now: what is shown of it is what it said last. */
const old = (server) => server.source && (server.status === "Unknown" || (server.status === "Offline" && server.age_s > OLD_S));

const WATCHDOG = { none: "", armed: _("armed: a hang resets this server"), released: _("released"), unknown: _("not known") };

function watchdog(server) {
  const found = server.watchdog;
  if (!found || found.status === "none") return found?.detail ?? "";
  return h("span", null, WATCHDOG[found.status], found.detail && h("span", { class: "comment" }, spoken(found.detail)));
}

const direction = (path) => (path ? badge(path.status) : h("span", { class: "none" }, _("not known")));
function gap(path) {
  if (!path) return "";
  const ms = path.worst_gap_ms.toFixed(0);
  if (!path.gaps || path.status !== "Normal") return fill(_("%(ms)s ms"), { ms });
  return fill(_("%(ms)s ms, %(percent)s % of the timeout"), { ms, percent: path.gaps.worst_percent });
}

function monitorRow(monitor, server) {
  const run = monitor.servers[server];
  return [to("monitor", monitor.name), h("span", null, badge(run.status), run.detail && h("span", { class: "comment" }, spoken(run.detail))), newest(run), worst(run)];
}

export function monitorView(state, name) {
  const { status, events } = state;
  const monitor = status.monitors[name];
  if (!monitor) return null;
  const last = events.findLast((note) => note.kind === "monitor" && note.name === name);
  const kind = status.groups[monitor.target] ? "group" : "resource";
  const known = status.groups[monitor.target] ?? status.resources[monitor.target];
  return [
    heading(_("Monitor"), monitor),
    operations(name, monitorButtons(monitor)),
    facts(
      [_("Type"), monitor.type],
      [_("Watches"), monitor.target && (known ? to(kind, monitor.target) : monitor.target)],
      [_("Timeout"), timeoutWords(monitor)],
    ),
    pageOf("monitor", name),
    section(_("On each server"), table([_("Server"), _("State"), _("Newest run"), _("Longest today"), _("Recoveries")], Object.entries(monitor.servers).map(([server, run]) => runRow(state, server, run)))),
    last && section(_("Newest event"), story(events, last)),
  ];
}

function monitorButtons(monitor) {
  const runs = Object.values(monitor.servers);
  return [
    runs.some((run) => run.status !== "Suspend") && ["monitor_suspend", _("Suspend …"), true],
    runs.some((run) => run.status === "Suspend") && ["monitor_resume", _("Resume …")],
    ["monitor_fail", _("Pretend a failure …"), true],
    ["monitor_mend", _("End the pretended failure …")],
  ];
}

function runRow(state, server, run) {
  const recoveries = fill(_("%(restarts)s restarts, %(failovers)s failovers"), run);
  return [
    to("server", server),
    h("span", null, badge(run.status), h("span", { class: "comment" }, spoken(run.detail) || sinceFact(run.since, state.skew))),
    newest(run),
    worst(run),
    run.restarts || run.failovers ? recoveries : _("none"),
  ];
}
