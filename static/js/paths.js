/** What the heartbeat LANs look like as a whole, worked out from what each server hears; and what decides beside them. */

const NEAR_PERCENT = 80; // of the timeout: a gap that long is a warning, although the path works
const cache = new WeakMap();
const arbiterCache = new WeakMap();

/** Every heartbeat LAN: name -> {name, type, comment, state, cut, deaf, ports, gaps, worst}; see `analyse`. */
export function lans(status) {
  const { servers } = status;
  if (!cache.has(servers)) cache.set(servers, new Map(names(status).map(([name, path]) => [name, analyse(status, name, path)])));
  return cache.get(servers);
}

/** Witness, shared disk, ping targets: name -> {name, type, comment, state, arbiter, ports, reached, of}. A majority of servers is no thing that could be drawn. */
export function arbiters(status) {
  const { servers } = status;
  if (!arbiterCache.has(servers)) arbiterCache.set(servers, new Map(arbitersOf(servers)));
  return arbiterCache.get(servers);
}

function arbitersOf(servers) {
  const found = new Map();
  for (const server of Object.values(servers)) {
    for (const [name, one] of Object.entries(server.heartbeats ?? {})) {
      if (!one.type.endsWith("np") || one.type === "majonp") continue;
      if (!found.has(name)) found.set(name, { name, type: one.type, comment: one.comment, arbiter: true, ports: new Map() });
      found.get(name).ports.set(server.name, isLiving(server) ? one.status : "Silent");
    }
  }
  for (const one of found.values()) {
    const told = [...one.ports.values()].filter((state) => state === "Normal" || state === "Error");
    one.reached = told.filter((state) => state === "Normal").length;
    one.of = told.length;
    one.state = told.length === 0 ? "Unused" : one.reached === one.of ? "Normal" : one.reached === 0 ? "Error" : "Caution";
  }
  return found;
}

/** How a path or arbiter looks: one that works and whose gaps come near the timeout is a warning. */
export const outlook = (wire) => (wire.state === "Normal" && wire.worst?.percent >= NEAR_PERCENT ? "Caution" : wire.state);

/** How a server stands at a path or arbiter. */
export const portState = (wire, server) => wire.ports.get(server) ?? "Unused";

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
  for (const server of Object.values(status.servers)) ports.set(server.name, stateOf(server, name, cut, deaf));
  return { name, type: path.type, comment: path.comment, state: lanState(living, cut, deaf), cut, deaf, ports, ...measured(status, name, living) };
}

/** The longest gap of today on this path: of each server that hears, and of all. Of paths that are silent now nothing is told. */
function measured(status, name, living) {
  const gaps = new Map();
  for (const server of living) {
    for (const [peer, path] of Object.entries(status.servers[server].heartbeats?.[name]?.peers ?? {})) {
      if (!path.gaps || path.status !== "Normal") continue;
      const known = gaps.get(server);
      if (!known || path.gaps.worst_ms > known.ms) gaps.set(server, { ms: path.gaps.worst_ms, percent: path.gaps.worst_percent, hears: server, peer });
    }
  }
  const worst = [...gaps.values()].reduce((most, one) => (most && most.ms >= one.ms ? most : one), null);
  return { gaps, worst };
}

const isLiving = (server) => server.status !== "Offline" && server.status !== "Unknown";

function stateOf(server, name, cut, deaf) {
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
