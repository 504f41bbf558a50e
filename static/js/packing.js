/** The snapshot of a large cluster says once what most servers say alike of an object (webmanager/packing.py). */

const KINDS = ["groups", "resources", "monitors"];

/** The status of a message, with every server's word at every object; what is alike is one object. */
export function unpacked({ status, alike }) {
  if (!status || !alike) return status ?? null;
  const whole = KINDS.map((kind) => [kind, Object.fromEntries(Object.entries(status[kind]).map(([name, one]) => [name, spread(one, alike)]))]);
  return { ...status, ...Object.fromEntries(whole) };
}

function spread(object, { servers, values }) {
  if (!Array.isArray(object.servers)) return object;
  const [names, value, others] = object.servers;
  const said = {};
  for (const server of servers[names]) said[server] = others[server] ?? values[value];
  return { ...object, servers: said };
}
