/** What the heartbeat LANs look like as a whole, worked out from what each server hears. */

const cache = new WeakMap();

/** Every heartbeat LAN: name -> {name, type, comment, state, cut, deaf, ports}; see `analyse`. */
export function lans(status) {
  if (!cache.has(status)) cache.set(status, new Map(names(status).map(([name, path]) => [name, analyse(status, name, path)])));
  return cache.get(status);
}

function names(status) {
  const found = new Map();
  for (const server of Object.values(status.servers)) {
    // Resolvers (ping, majority …) stand among the heartbeats of a server, but connect no two servers.
    const paths = Object.entries(server.heartbeats ?? {}).filter(([, path]) => path.type.endsWith("hb"));
    for (const [name, path] of paths) if (!found.has(name)) found.set(name, path);
  }
  return [...found];
}

/**
 * cut: servers that exchange nothing with any living server here; deaf: pairs {from, to} where `to` does not hear
 * `from` although neither is cut off; ports: server -> Normal | Error | Caution | One way | Silent | Unused.
 */
function analyse(status, name, path) {
  const living = Object.values(status.servers).filter(isLiving).map((server) => server.name);
  const broken = (from, to) => status.servers[to].heartbeats?.[name]?.peers?.[from]?.status === "Error";
  const others = (server) => living.filter((peer) => peer !== server);
  const isCut = (server) => others(server).length > 0 && others(server).every((peer) => broken(peer, server) && broken(server, peer));
  const cut = living.filter(isCut);
  const joined = living.filter((server) => !cut.includes(server));
  const deaf = joined.flatMap((to) => joined.filter((from) => from !== to && broken(from, to)).map((from) => ({ from, to })));
  const ports = new Map();
  for (const server of Object.values(status.servers)) ports.set(server.name, portState(server, name, cut, deaf));
  return { name, type: path.type, comment: path.comment, state: lanState(living, cut, deaf), cut, deaf, ports };
}

const isLiving = (server) => server.status !== "Offline" && server.status !== "Unknown";

function portState(server, name, cut, deaf) {
  if (!isLiving(server)) return "Silent";
  const path = server.heartbeats?.[name];
  if (!path || path.status === "Unused") return "Unused";
  if (cut.includes(server.name)) return "Error";
  const hearsNot = deaf.some((pair) => pair.to === server.name);
  const notHeard = deaf.some((pair) => pair.from === server.name);
  if (hearsNot && notHeard) return "Caution";
  return hearsNot || notHeard ? "One way" : "Normal";
}

function lanState(living, cut, deaf) {
  if (living.length < 2) return "Unused";
  if (cut.length === living.length) return "Error";
  return cut.length > 0 || deaf.length > 0 ? "Caution" : "Normal";
}
