/** Details of what decides at a network partition and of what forces servers off. */

import { facts, heading, operations, section, sinceFact, story, table, to } from "./detail-parts.js";
import { h } from "./dom.js";
import { badge } from "./look.js";
import { fenceState, partitionFact, resolvers } from "./partition.js";
import { _, fill, joined, moment } from "./text.js";

/** In the cluster's details: who acts, why, and by what it is decided. */
export function partitionSections(state) {
  const { status } = state;
  const found = status.cluster.partition;
  if (!found) return [];
  const fact = partitionFact(status);
  const names = [...resolvers(status).values()];
  return [
    section(_("Who may run groups"),
      fact
        ? h("p", { class: "remark", "data-look": fact.look }, h("strong", null, fact.text), " ", fact.why)
        : h("p", null, plainly(found)),
      facts(
        [_("Acting"), joined(found.acting) || _("none")],
        [_("Alive, not acting"), joined(found.idle)],
        [_("Not heard"), joined(found.silent)],
        [_("Votes"), found.voters.length > 0 && fill(_("%(have)s of %(all)s, needed %(needed)s"), { have: found.present.length, all: found.voters.length, needed: found.needed })],
      )),
    section(_("Partition resolution"), names.length > 0
      ? table([_("Name"), _("State"), _("Kind")], names.map((one) => [to("resolver", one.name), badge(one.status), one.comment]))
      : h("p", { class: "none" }, _("No resolver is configured."))),
    ...fencingSections(state),
  ];
}

function plainly(found) {
  if (found.case === "unknown") return _("No server reports now, so nobody here knows. They go on without this manager.");
  return found.acting.length > 0 ? _("All servers that run hear each other.") : _("No server runs.");
}

function fencingSections({ status }) {
  const fencing = status.cluster.fencing;
  const devices = Object.values(status.fences ?? {});
  if (!fencing || (devices.length === 0 && fencing.armed && !fencing.self_fencing)) return [];
  const switches = fencing.armed ? [["fence_disarm", _("Disarm …"), true]] : [["fence_arm", _("Arm …")]];
  const allowed = fencing.armed ? document.body.dataset.mayAdminister === "yes" : true;
  return [section(_("Forced stop"),
    !fencing.armed && h("p", { class: "remark", "data-look": "warn" }, _("Disarmed: nothing is forced off, and nothing is taken over from a lost server.")),
    allowed && operations("", switches),
    facts(
      [_("Covers"), joined(fencing.covered) || _("no server")],
      [_("Watchdogs"), fencing.self_fencing ? _("a server that hangs is reset") : _("none")],
    ),
    devices.length > 0 && table([_("Device"), _("State"), _("Last proven")], devices.map((one) => [
      to("fence", one.name), badge(fenceState(one), { text: one.last_result ? undefined : _("Never tested") }), when(one.last_proven),
    ])))];
}

const when = (seconds) => (seconds ? moment(seconds) : _("never"));

export function resolverView(state, name) {
  const { status, events } = state;
  const found = resolvers(status).get(name);
  if (!found) return null;
  const last = events.findLast((note) => note.name === name);
  const votes = (status.cluster.partition?.voters ?? []).includes(name);
  return [
    heading(_("Partition resolution"), found),
    facts(
      [_("Type"), found.comment ? `${found.type}, ${found.comment}` : found.type],
      [_("Vote"), votes && (status.cluster.partition.present.includes(name) ? _("given to the acting side") : _("not given"))],
    ),
    section(_("As each server reaches it"), table([_("Server"), _("State"), _("Since"), _("Remark")], Object.entries(found.servers).map(([server, one]) => [
      to("server", server), badge(one.status), sinceFact(one.since, state.skew), one.detail,
    ]))),
    last && section(_("Newest event"), story(events, last)),
  ];
}

export function fenceView(state, name) {
  const device = state.status.fences?.[name];
  if (!device) return null;
  const never = !device.last_result && h("p", { class: "remark", "data-look": "warn" }, _("It has never been tested: nobody knows whether it could force a server off."));
  return [
    heading(_("Fence device"), { ...device, status: fenceState(device), comment: "" }),
    never,
    device.last_result === "failed" && h("p", { class: "remark", "data-look": "bad" }, device.detail || _("Its newest use failed.")),
    operations(name, [["fence_test", _("Test …")]]),
    facts(
      [_("Agent"), device.agent],
      [_("Level"), fill(_("%(level)s (devices of one level act together, the next one when they fail)"), { level: device.level })],
      [_("Delay"), device.delay_s > 0 && fill(_("%(n)s s"), { n: device.delay_s })],
      [_("Targets"), joined(device.targets)],
      [_("Last proven"), when(device.last_proven)],
    ),
    section(_("From each server"), table([_("Server"), _("Newest result"), _("At"), _("Last proven"), _("Remark")],
      Object.keys(state.status.servers).map((server) => fenceRow(server, device.servers[server])))),
  ];
}

function fenceRow(server, one) {
  if (!one) return [to("server", server), badge("Unknown", { text: _("Never tested") }), "", _("never"), ""];
  return [to("server", server), badge(one.result === "ok" ? "Normal" : "Error"), when(one.at), when(one.proven), one.detail];
}

/** Why a server takes no groups by itself, until when, and the way to end that. */
export function quarantine(server) {
  const found = server.quarantine;
  if (!found) return null;
  return h("div", { class: "remark", "data-look": "warn" },
    h("p", null, fill(_("In quarantine until %(time)s: lost %(times)s times within %(window)s s. It takes no groups by itself; you can move them here."), {
      time: moment(found.until), times: found.times, window: found.window_s,
    })),
    operations(server.name, [["server_release", _("Release …")]]));
}
