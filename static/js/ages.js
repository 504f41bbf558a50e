/** How old what is shown is, told apart: the manager is not heard, or the manager does not hear the servers. */

const SILENT_MS = 5000; // Servers are heard each second.

const speaks = (server) => server.source && server.status !== "Offline";

/** When the newest word of any server came (local ms), while that is too long ago; 0 while one is heard. */
export function silentSince(state, now) {
  const { status, born } = state;
  if (!status) return 0;
  const heard = Object.values(status.servers).filter((server) => born[server.name]).map((server) => born[server.name]);
  const newest = Math.max(0, ...heard);
  return newest > 0 && now - newest > SILENT_MS ? newest : 0;
}

/** When what is shown of an object was true (local ms): the oldest word of those who tell it; undefined: nobody does. */
export function bornOf(state, kind, name) {
  const tellers = TELLERS[kind]?.(state.status, name) ?? [];
  const times = tellers.map((server) => state.born[server]).filter(Boolean);
  return times.length > 0 ? Math.min(...times) : undefined;
}

const everybody = (status) => Object.values(status.servers).filter(speaks).map((server) => server.name);
const places = (object) => Object.entries(object?.servers ?? {}).filter(([, one]) => one.status !== "Offline" && one.status !== "Unknown").map(([server]) => server);

const TELLERS = {
  cluster: (status) => everybody(status),
  server: (status, name) => [name],
  group: (status, name) => ofGroup(status, status.groups[name]),
  resource: (status, name) => ofGroup(status, status.groups[status.resources[name]?.group]),
  monitor: (status, name) => some(places(status.monitors[name]), status),
  heartbeat: (status) => everybody(status),
  resolver: (status) => everybody(status),
  fence: (status, name) => some(Object.keys(status.fences?.[name]?.servers ?? {}), status),
};

/** Where it runs; of one that runs nowhere everybody has to have said so. */
const ofGroup = (status, group) => some(group?.active_on ?? [], status);
const some = (servers, status) => (servers.length > 0 ? servers : everybody(status));
