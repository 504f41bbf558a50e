/** Details of the cluster and of a heartbeat LAN. */

import { byPriority } from "./clp-tree.js";
import { facts, heading, line, operations, section, table, to } from "./detail-parts.js";
import { partitionSections } from "./detail-partition.js";
import { h } from "./dom.js";
import { badge } from "./look.js";
import { pageOf } from "./measures-words.js";
import { once } from "./memo.js";
import { lans } from "./paths.js";
import { spoken } from "./spoken.js";
import { _, fill, joined } from "./text.js";

export function clusterView(state) {
  const { cluster, groups } = state.status;
  const oldest = Math.min(...Object.values(state.born));
  return [
    heading(_("Cluster"), cluster, Number.isFinite(oldest) ? oldest : 0),
    cluster.detail && h("p", { class: "remark", "data-look": "bad" }, spoken(cluster.detail)),
    operations("", buttons(cluster)),
    facts(
      [_("Coordinator"), cluster.coordinator ? to("server", cluster.coordinator) : _("none")],
      [_("Members"), joined(cluster.members)],
      [_("View"), cluster.epoch],
      [_("Split brain"), splitBrain(cluster.split_brain)],
      [_("Heartbeat timeout"), timeout(cluster.silence)],
    ),
    ...partitionSections(state),
    section(_("Servers"), table([_("Name"), _("State"), _("Data")], byPriority(state.status).map((server) => serverLine(server, state.born[server.name] ?? 0)))),
    section(_("Groups"), table([_("Name"), _("State"), _("Runs on")], Object.values(groups).map((group) => once(groupLine, group)))),
  ];
}

const serverLine = (server, born) => line([to("server", server.name), badge(server.status, { kind: "server" }), h("clp-age", { born, opaque: true })]);
const groupLine = (group) => line([to("group", group.name), badge(group.status), h("span", null, group.active_on.map((server) => [to("server", server), " "]))]);

function buttons(cluster) {
  if (cluster.status === "Offline") return [["cluster_start", _("Start …")]];
  return [
    cluster.suspended ? ["cluster_resume", _("Resume …")] : ["cluster_suspend", _("Suspend …")],
    ["cluster_stop", _("Stop …"), true],
    ["cluster_reboot", _("Reboot …"), true],
    ["cluster_shutdown", _("Shut down …"), true],
  ];
}

const WHY = {
  worst: _("twice the longest silence"),
  interval: _("three intervals"),
  tail: _("one beat in 10 000 may be that late"),
  late: _("a heartbeat process waited for its CPU"),
  lease: _("the lease must be renewed in time"),
};

/** How near the silences come to the timeout, and which timeout would be safe. */
function timeout(silence) {
  if (!silence) return "";
  const worst = fill(_("%(timeout)s ms; the worst silence today was %(ms)s ms, %(percent)s % of it"), { timeout: silence.timeout_ms, ms: silence.worst_ms.toFixed(0), percent: silence.worst_percent });
  const cuts = silence.cuts > 0 && h("span", { class: "comment" }, fill(_("Not counted: %(count)s interruptions beyond the timeout, the longest %(ms)s ms"), { count: silence.cuts, ms: silence.cut_ms.toFixed(0) }));
  const proposal = fill(_("Proposed: %(ms)s ms or more (%(why)s)"), { ms: silence.proposed_ms, why: WHY[silence.rule] ?? silence.rule });
  return h("span", null, worst, h("span", { class: "comment" }, proposal), cuts, h("a", { class: "comment", href: "/heartbeats/" }, _("All silences")));
}

function splitBrain(risk) {
  if (!risk) return "";
  const possible = risk.possible ? _("possible") : _("not possible");
  return h("span", null, possible, h("span", { class: "comment" }, spoken(risk.why)));
}

export function heartbeatView(state, name) {
  const { status } = state;
  const lan = lans(status).get(name);
  if (!lan) return null;
  const servers = byPriority(status).map((server) => server.name);
  const rows = servers.map((to_) => [to("server", to_), ...servers.map((from) => cell(status, name, from, to_))]);
  return [
    heading(_("Heartbeat"), { ...lan, status: lan.state, comment: "" }),
    facts([_("Type"), lan.comment ? `${lan.type}, ${lan.comment}` : lan.type]),
    pageOf("heartbeat", name),
    section(_("Who hears whom"), h("p", { class: "hint" }, _("A row tells what that server hears; the number is the longest silence.")),
      table([_("Hears →"), ...servers], rows)),
  ];
}

function cell(status, lan, from, to_) {
  if (from === to_) return h("span", { class: "none" }, "—");
  const path = status.servers[to_].heartbeats?.[lan]?.peers?.[from];
  if (!path) return h("span", { class: "none" }, _("not known"));
  return h("span", null, badge(path.status), h("span", { class: "comment" }, fill(_("%(ms)s ms"), { ms: path.worst_gap_ms.toFixed(0) })));
}
