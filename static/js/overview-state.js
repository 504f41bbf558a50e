/** What the overview knows, as a pure function of the messages that came: a summary of each cluster, and ages. */

export const EMPTY = Object.freeze({ clusters: {}, roles: {}, born: {}, skew: 0 });

const RANKS = { bad: 0, unknown: 1, warn: 2 };

export function reduce(state, message, now) {
  const handler = HANDLERS[message.type];
  return { state: handler ? handler(state, message, now) : state, resync: false };
}

const HANDLERS = { summaries, summary, alive };

function summaries(state, message, now) {
  const clusters = Object.fromEntries(message.clusters.map((one) => [one.name, one]));
  const ages = Object.fromEntries(message.clusters.map((one) => [one.name, one.age_s]));
  return { clusters, roles: message.roles, born: births({}, ages, now), skew: message.at - now / 1000 };
}

function summary(state, message, now) {
  const { cluster } = message;
  return { ...state, clusters: { ...state.clusters, [cluster.name]: cluster }, born: births(state.born, { [cluster.name]: cluster.age_s }, now) };
}

function alive(state, message, now) {
  return { ...state, born: births(state.born, message.ages, now), skew: message.at - now / 1000 };
}

function births(born, ages, now) {
  const next = { ...born };
  for (const [name, seconds] of Object.entries(ages)) if (typeof seconds === "number") next[name] = now - seconds * 1000;
  return next;
}

/** Worst first, then by name. */
export function sorted(state) {
  const rank = (one) => RANKS[one.worst] ?? 3;
  return Object.values(state.clusters).sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}
