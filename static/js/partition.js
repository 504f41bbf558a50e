/** Who may run groups when servers do not hear each other, by which votes, and what to do next; facts from the status. */

import { once } from "./memo.js";
import { lans } from "./paths.js";
import { within } from "./spoken.js";
import { _, fill, joined } from "./text.js";

/** {look, text, why, next, english} of the partition as it is now; null while all servers that run hear each other. */
export const partitionFact = (status) => once(factOf, status);

function factOf(status) {
  const found = status.cluster.partition;
  if (!found || !FACTS[found.case]) return null;
  return { ...FACTS[found.case](status, found), english: found.idle.flatMap((name) => within(status.servers[name]?.detail).english) };
}

const FACTS = {
  votes: (status, found) => oneSide(status, found, "warn", votes(found), ofSilent(found, leaseOver(found))),
  ping: (status, found) => oneSide(status, found, "warn",
    fill(_("The ping target is reached from %(servers)s."), { servers: joined(found.acting) }),
    ofSilent(found, _("If %(servers)s still runs without reaching a ping target, it has stopped its groups; if it reaches one, it runs them too."))),
  fenced: (status, found) => oneSide(status, found, "warn",
    _("Who is not heard is forced off before its groups start elsewhere."), ""),
  unsafe: (status, found) => ({
    look: "warn",
    text: fill(_("%(servers)s is not heard, and nothing proves that it has stopped."), { servers: joined([...found.idle, ...found.silent]) }),
    why: [_("No resolver is configured that could tell which side may act."), ofSilent(found, _("If %(servers)s still runs, it runs its groups as well."))].filter(Boolean).join(" "),
    next: next(status, found),
  }),
  both: (status, found) => ({
    look: "bad",
    text: fill(_("Two sides act at the same time: %(sides)s."), { sides: sidesOf(found) }),
    why: _("They do not hear each other, and nothing decides which side may act."),
    next: _("Power one side off now, before both write the same data; then mend the network."),
  }),
  nobody: (status, found) => ({
    look: "bad",
    text: fill(_("No server may run groups; losing side: %(servers)s."), { servers: joined(found.idle) }),
    why: reasons(status, found.idle),
    next: fill(_("Mend the network or start the other servers. Only when they are certainly off: clpcl --force-quorum -h %(server)s"), { server: found.idle[0] }),
  }),
};

function oneSide(status, found, look, why, silent) {
  const away = [...found.idle, ...found.silent];
  const groups = Object.values(status.groups);
  const acting = new Set(found.acting);
  return {
    look,
    text: fill(_("Only %(acting)s may run groups (%(running)s of %(groups)s run there); %(away)s may not."), {
      acting: joined(found.acting), away: joined(away), running: groups.filter((group) => acting.has(group.current)).length, groups: groups.length,
    }),
    why: [why, silent, reasons(status, found.idle)].filter(Boolean).join(" "),
    next: next(status, found),
  };
}

/** "2 of 3 votes: server2, httpnp1 (of …)". */
function votes(found) {
  if (found.voters.length === 0) return _("More than half of the votes are on this side.");
  const absent = found.voters.filter((voter) => !found.present.includes(voter));
  return fill(_("They have %(have)s of %(all)s votes: %(present)s; missing: %(absent)s."), {
    have: found.present.length, all: found.voters.length, present: joined(found.present), absent: joined(absent) || _("none"),
  });
}

const leaseOver = (found) => (found.self_fencing
  ? _("If %(servers)s still runs, its lease has run out: it has stopped its groups or was reset.")
  : _("If %(servers)s still runs, its lease has run out and it has stopped its groups, unless it hangs."));

const ofSilent = (found, sentence) => (found.silent.length > 0 ? fill(sentence, { servers: joined(found.silent) }) : "");

const reasons = (status, servers) => servers.filter((name) => status.servers[name]?.detail).map((name) => `${name}: ${within(status.servers[name].detail).words}`).join(" ");

const sidesOf = (found) => joined(found.sides.filter((side) => side.acts).map((side) => `[${side.servers.join(", ")}]`));

function next(status, found) {
  const away = joined([...found.idle, ...found.silent]);
  if (found.case === "unsafe") return fill(_("Make sure that %(servers)s is off or reaches no client, then mend it."), { servers: away });
  if (found.idle.length === 0) return fill(_("See whether %(servers)s has power. If it runs, mend its cables to all heartbeat LANs; it joins by itself."), { servers: away });
  const broken = [...lans(status).values()].filter((lan) => lan.state !== "Normal").map((lan) => lan.name);
  if (broken.length === 0) return fill(_("Mend the network of %(servers)s; it joins again by itself."), { servers: away });
  return fill(_("Mend the network of %(servers)s (%(lans)s); it joins again by itself."), { servers: away, lans: broken.join(", ") });
}

/** Every partition resolver: name -> {name, type, comment, status, servers: {server: {status, since, detail}}}. */
export const resolvers = (status) => once(resolversOf, status.servers);

function resolversOf(servers) {
  const found = new Map();
  for (const server of Object.values(servers)) {
    for (const [name, one] of Object.entries(server.heartbeats ?? {})) {
      if (!one.type.endsWith("np")) continue;
      if (!found.has(name)) found.set(name, { name, type: one.type, comment: one.comment, servers: {} });
      found.get(name).servers[server.name] = one;
    }
  }
  for (const one of found.values()) one.status = together(Object.values(one.servers).map((there) => there.status));
  return found;
}

/** Servers that say nothing count for nothing. */
function together(states) {
  const telling = states.filter((state) => state === "Normal" || state === "Error");
  if (telling.length === 0) return states[0] ?? "Unknown";
  return telling.every((state) => state === "Normal") ? "Normal" : telling.every((state) => state === "Error") ? "Error" : "Caution";
}

/** How a fence device looks, by what it did last: never tested is no proof. */
export const fenceState = (device) => (device.last_result === "failed" ? "Error" : device.last_proven ? "Normal" : "Unknown");
