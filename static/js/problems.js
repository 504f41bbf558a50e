/** What is wrong, since when, and what to do next: worked out from the status alone. */

import { since } from "./causes.js";
import { mirrorProblems } from "./mirrors-problems.js";
import { Each } from "./memo.js";
import { partitionFact, resolvers } from "./partition.js";
import { lans } from "./paths.js";
import { within } from "./spoken.js";
import { _, duration, fill, joined, moment, plural, word } from "./text.js";

const RANK = { bad: 0, warn: 1, busy: 2, note: 3 };

/** Problems, worst first: {key, look, kind, name, text, since, next}; `href` where it has a page of its own. `look`: bad, warn, busy or note. `english`: parts of the words that servers said and that are not known in the page's language. */
export function problems(state) {
  if (!state.status) return [];
  // Strip, title and icon ask for the same, and each second ages come that change nothing here.
  const inputs = [state.status, state.events, JSON.stringify(Object.entries(state.agents).map(([node, agent]) => [node, agent.connected, agent.ahead_s])), new Date().toDateString()];
  if (newest.inputs.length === 0 || inputs.some((value, index) => value !== newest.inputs[index])) newest = { inputs, found: all(state) };
  return newest.found;
}

let newest = { inputs: [], found: [] };

function all(state) {
  const { status, events } = state;
  const found = [
    ...inCluster(status),
    ...inPartition(status, events),
    ...mirrorProblems(status),
    ...Object.values(status.groups).map((group) => inGroup(state, group)),
    ...Object.values(status.servers).map((server) => inServer(status, server, events)),
    ...Object.values(status.servers).map((server) => server.drill && inDrill(server.name, server.drill)),
    ...[...lans(status).values()].flatMap((lan) => inLan(lan, events)),
    ...inMonitors(state),
    ...agentsAway(state),
    ...wrongClocks(state),
  ].filter(Boolean);
  return found.sort((a, b) => RANK[a.look] - RANK[b.look]);
}

/** {text, english}: a sentence with what a server says in it. */
function telling(template, values, detail) {
  const { words, english } = within(detail);
  return { text: fill(template, { ...values, detail: words }).trim(), english };
}

/** The worst look of all: "good" when nothing is wrong; notes and work in progress do not count. */
export function worst(state) {
  if (!state.status) return "unknown";
  const first = problems(state)[0]?.look;
  return first === "bad" || first === "warn" ? first : "good";
}

function inCluster(status) {
  const base = { look: "warn", kind: "cluster", name: "", since: 0 };
  const suspended = {
    ...base,
    key: "suspend",
    text: _("The cluster is suspended: nothing fails over."),
    next: _("Resume it when the work is done."),
  };
  const apart = {
    ...base,
    key: "apart",
    look: "bad",
    ...telling("%(detail)s", {}, status.cluster.detail),
    next: _("Find out which servers do not hear each other; look at the heartbeats."),
  };
  const disarmed = {
    ...base,
    key: "disarmed",
    text: _("Fencing is disarmed: nothing is taken over from a lost server."),
    next: _("Arm it when the work is done."),
  };
  const told = partitionFact(status);
  return [status.cluster.suspended && suspended, status.cluster.detail && !told && apart, status.cluster.fencing?.armed === false && disarmed];
}

/** Who serves and why, what cannot be reached, and what has never been proven. */
function inPartition(status, events) {
  const fact = partitionFact(status);
  const away = status.cluster.partition?.silent[0] ?? status.cluster.partition?.idle[0];
  const whole = fact && { key: "partition", kind: "cluster", name: "", since: away ? since(events, "server", away) : 0, ...fact };
  const unreached = [...resolvers(status).values()].flatMap((one) => unreachedBy(one));
  const devices = Object.values(status.fences ?? {}).filter((one) => one.last_result !== "ok").map(unproven);
  return [whole, ...unreached, ...devices];
}

function unreachedBy(resolver) {
  const bad = Object.entries(resolver.servers).filter(([, one]) => one.status === "Error");
  if (bad.length === 0) return [];
  const told = telling(_("%(name)s is not reached by %(servers)s. %(detail)s"), { name: resolver.name, servers: joined(bad.map(([server]) => server)) }, bad[0][1].detail);
  const next = _("While it is away, another fault may stop services: mend the way to it.");
  return [{ key: `resolver/${resolver.name}`, look: "warn", kind: "resolver", name: resolver.name, ...told, since: Math.max(...bad.map(([, one]) => one.since)), next }];
}

function unproven(device) {
  const base = { key: `fence/${device.name}`, kind: "fence", name: device.name, next: _("Open it and test it.") };
  if (device.last_result === "failed") {
    return { ...base, look: "bad", since: 0, ...telling(_("Fence device %(name)s has failed: %(detail)s"), { name: device.name }, device.detail) };
  }
  return { ...base, look: "note", since: 0, text: fill(_("Fence device %(name)s has never been tested."), { name: device.name }) };
}

function inGroup(state, group) {
  const fact = groupFact(state.status, group);
  return fact && { key: `group/${group.name}`, kind: "group", name: group.name, since: byOurClock(state, group.current, group.since), ...fact };
}

/** What a server says of a time, by the manager's clock. */
const byOurClock = (state, server, time) => time && time - (state.agents[server]?.ahead_s ?? 0);

function groupFact(status, group) {
  const name = group.name;
  if (group.active_on.length > 1) {
    return {
      look: "bad",
      text: fill(_("%(name)s is active on %(servers)s at the same time."), { name, servers: joined(group.active_on) }),
      next: _("Stop it on all but one of them now: both may be writing."),
    };
  }
  if (/Failure/.test(group.status)) {
    const told = telling(_("%(name)s: %(state)s. %(detail)s"), { name, state: word(group.status) }, group.detail);
    return { look: "bad", ...told, next: _("Mend the cause, then start the group again.") };
  }
  if (/Pending/.test(group.status)) {
    return { look: "busy", text: fill(_("%(name)s: %(state)s."), { name, state: word(group.status) }), next: "" };
  }
  if (group.status === "Unknown") {
    return { look: "warn", text: fill(_("Nobody knows where %(name)s runs."), { name }), next: _("Look at the servers of its policy.") };
  }
  return group.status === "Offline" ? notRunning(group) : awayFromHome(status, group);
}

function notRunning(group) {
  const name = group.name;
  if (group.held) return { look: "note", text: fill(_("%(name)s was stopped by an operator."), { name }), next: "" };
  if (!group.autostart && !group.goal) return null;
  return { look: "bad", ...telling(_("%(name)s runs nowhere. %(detail)s"), { name }, group.detail), next: _("See why below, then start it.") };
}

function awayFromHome(status, group) {
  if (!group.current || !group.home || group.current === group.home) return null;
  if (status.servers[group.home]?.status !== "Online") return null;
  const text = fill(_("%(name)s runs on %(server)s; its home %(home)s is online."), {
    name: group.name, server: group.current, home: group.home,
  });
  return { look: "note", text, next: _("Move it back when it suits.") };
}

function inServer(status, server, events) {
  // The partition's own line says what its absence means, and what to do.
  const told = partitionFact(status) && [...status.cluster.partition.silent, ...status.cluster.partition.idle].includes(server.name);
  const fact = told ? null : serverFact(server);
  return fact && { key: `server/${server.name}`, kind: "server", name: server.name, since: since(events, "server", server.name), ...fact };
}

function serverFact(server) {
  const name = server.name;
  const detail = server.detail ?? "";
  if (server.status === "Offline") {
    return { look: "warn", ...telling(_("%(name)s is offline. %(detail)s"), { name }, detail), next: _("Find out whether it has power and network, then start it.") };
  }
  if (/Pending/.test(server.status)) return { look: "busy", text: fill(_("%(name)s: %(state)s."), { name, state: word(server.status) }), next: "" };
  if (server.status === "Unknown") {
    return { look: "warn", ...telling(_("Nothing is known of %(name)s. %(detail)s"), { name }, detail), next: _("Check that its agent runs and reaches this manager.") };
  }
  if (server.quarantine) return inQuarantine(name, server.quarantine);
  if (server.status === "Online" && detail) return { look: "warn", ...telling("%(name)s: %(detail)s", { name }, detail), next: "" };
  return null;
}

/** Said before anything else that it leads to: what fails there is meant to. */
function inDrill(name, { what, by, began, ends }) {
  const { words, english } = within(what);
  const text = fill(_("Drill on %(name)s: %(what)s, as %(by)s asked. What follows from it is meant to happen."), { name, what: words, by });
  const next = fill(_("It ends by itself at %(time)s at the latest; the page Drills ends it at once."), { time: moment(ends) });
  return { key: `drill/${name}`, look: "busy", kind: "server", name, text, english, since: began, next };
}

function inQuarantine(name, { until, times, window_s: window }) {
  const text = fill(_("%(name)s is in quarantine until %(time)s: lost %(times)s times within %(window)s s."), { name, time: moment(until), times, window });
  return { look: "warn", text, next: _("Find out why it was lost; release it when that is mended.") };
}

function inLan(lan, events) {
  if (lan.state === "Normal" || lan.state === "Unused") return [];
  const base = { kind: "heartbeat", name: lan.name, look: lan.state === "Error" ? "bad" : "warn", since: since(events, "heartbeat", lan.name) };
  const next = _("Check network card, cable, switch and UDP port 29002.");
  if (lan.state === "Error") {
    return [{ ...base, key: `lan/${lan.name}`, text: fill(_("%(lan)s: no server hears another."), { lan: lan.name }), next }];
  }
  const cut = lan.cut.map((server) => ({
    ...base, key: `lan/${lan.name}/${server}`, text: fill(_("%(lan)s: %(server)s is cut off."), { lan: lan.name, server }), next,
  }));
  const deaf = lan.deaf.map(({ from, to }) => ({
    ...base, key: `lan/${lan.name}/${from}/${to}`, text: fill(_("%(lan)s: %(to)s does not hear %(from)s."), { lan: lan.name, from, to }), next,
  }));
  return [...cut, ...deaf];
}

const troubled = new Each(({ servers }) => Object.entries(servers).filter(([, run]) => run.status === "Error" || run.status === "Caution"));

/** Hardly one of thousands is in trouble. */
function inMonitors(state) {
  const monitors = Object.values(state.status.monitors);
  return troubled.of(monitors).flatMap((runs, at) => (runs.length > 0 ? inMonitor(state, monitors[at], runs) : runs));
}

function inMonitor(state, monitor, runs) {
  return runs
    .map(([server, run]) => ({
      key: `monitor/${monitor.name}/${server}`,
      look: run.status === "Error" ? "bad" : "warn",
      kind: "monitor",
      name: monitor.name,
      ...telling(_("%(name)s on %(server)s: %(detail)s"), { name: monitor.name, server }, run.detail || word(run.status)),
      since: byOurClock(state, server, run.since),
      next: monitor.target ? fill(_("It watches %(target)s."), { target: monitor.target }) : "",
    }));
}

function agentsAway(state) {
  const away = Object.entries(state.agents)
    .filter(([node, agent]) => !agent.connected && state.status.servers[node]?.status === "Online")
    .map(([node]) => node);
  if (away.length === 0) return [];
  const text = fill(_("No direct connection from %(servers)s; others report for them."), { servers: joined(away) });
  return [{ key: "agents", look: "note", kind: "server", name: away[0], text, since: 0, next: _("Check manager.json and the way from the agent to this manager.") }];
}

/** What the manager has measured and taken off the times of events; who reads a log on that server has to know it. */
function wrongClocks(state) {
  return Object.entries(state.agents).filter(([, agent]) => agent.connected && agent.ahead_s).map(([name, { ahead_s: ahead }]) => ({
    key: `clock/${name}`, look: "warn", kind: "server", name, since: 0,
    text: fill(ahead > 0 ? _("The clock of %(name)s is %(time)s ahead of the manager's.") : _("The clock of %(name)s is %(time)s behind the manager's."), { name, time: duration(Math.abs(ahead)) }),
    next: _("Set it (NTP). Events stand in the right order here; logs on the server have its own times."),
  }));
}

/** One sentence for a healthy cluster. */
export function allWell(status) {
  const servers = plural("%(count)s server online", "%(count)s servers online", Object.keys(status.servers).length);
  const running = Object.values(status.groups).filter((group) => group.current).length;
  const groups = plural("%(count)s group running", "%(count)s groups running", running);
  return fill(_("Nothing is wrong: %(servers)s, %(groups)s."), { servers, groups });
}

