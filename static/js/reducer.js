/** What the browser knows, as a pure function of the messages that came: snapshot, numbered changes, ages. */

import { unpacked } from "./packing.js";

const KINDS = ["servers", "groups", "resources", "monitors", "fences", "mirrors"];
const EVENTS_KEPT = 1000;

export const EMPTY = Object.freeze({
  cluster: null,
  rev: -1,
  status: null,
  events: [],
  agents: {},
  born: {}, // server -> local time in ms at which its data were true
  outage: null,
  demo: false,
  version: "",
  operations: {},
  open: { error: 0, warning: 0 }, // how many events nobody has acknowledged
  acknowledged: {}, // id of an event -> {by, at, comment}
  skew: 0, // manager's clock minus ours, seconds
});

/**
 * @returns {{state: object, resync: boolean}} the next state; `resync`: something is missing, ask for a snapshot.
 */
export function reduce(state, message, now) {
  const handler = HANDLERS[message.type];
  return handler ? handler(state, message, now) : { state, resync: false };
}

const HANDLERS = { snapshot, change, alive, outage, operation, acknowledged };

function snapshot(state, message, now) {
  const status = unpacked(message);
  const ages = Object.values(status?.servers ?? {}).map((server) => [server.name, server.age_s]);
  const next = {
    ...EMPTY,
    operations: state.operations,
    cluster: message.cluster ?? null,
    rev: message.rev,
    status,
    events: merge([], message.events ?? []),
    agents: message.agents ?? {},
    born: births({}, Object.fromEntries(ages), now),
    outage: message.outage ?? null,
    open: message.open ?? EMPTY.open,
    acknowledged: message.acknowledged ?? {},
    demo: Boolean(message.demo),
    version: message.version ?? "",
    skew: skew(message, now),
  };
  return { state: next, resync: false };
}

function change(state, message, now) {
  if (message.cluster === state.cluster && message.rev <= state.rev) return { state, resync: false };
  if (message.cluster !== state.cluster || message.rev !== state.rev + 1 || !state.status) return { state, resync: true };
  const next = {
    ...state,
    rev: message.rev,
    status: apply(state.status, message.changes ?? []),
    events: merge(state.events, message.events ?? []),
    agents: message.agents ?? state.agents,
    open: message.open ?? state.open,
    skew: skew(message, now, state.skew),
  };
  return { state: next, resync: false };
}

function acknowledged(state, message) {
  return { state: { ...state, open: message.open, acknowledged: message.acknowledged }, resync: false };
}

function alive(state, message, now) {
  const next = {
    ...state,
    born: births(state.born, message.ages ?? {}, now),
    agents: message.agents ?? state.agents,
    skew: skew(message, now, state.skew),
  };
  return { state: next, resync: message.rev !== state.rev };
}

function outage(state, message) {
  return { state: { ...state, outage: message.outage ?? null }, resync: false };
}

function operation(state, message) {
  const operations = { ...state.operations, [message.operation.id]: message.operation };
  return { state: { ...state, operations }, resync: false };
}

/** Whole objects are replaced, so that any sequence of changes converges. */
export function apply(status, changes) {
  if (changes.length === 0) return status;
  const next = { ...status };
  for (const kind of KINDS) if (changes.some((one) => one[0] === kind)) next[kind] = { ...status[kind] };
  for (const [kind, name, object] of changes) {
    if (kind === "cluster") next.cluster = object;
    else if (!KINDS.includes(kind)) continue;
    else if (object === null) delete next[kind][name];
    else next[kind][name] = object;
  }
  return next;
}

/** Oldest first, each id once, the newest kept. */
function merge(known, fresh) {
  if (fresh.length === 0) return known;
  const ids = new Set(known.map((note) => note.id));
  const all = [...known, ...fresh.filter((note) => !ids.has(note.id) && ids.add(note.id))];
  // News mostly belongs at the end.
  const first = Math.max(1, known.length);
  if (all.some((note, index) => index >= first && order(all[index - 1], note) > 0)) all.sort(order);
  return all.slice(-EVENTS_KEPT);
}

const order = (a, b) => a.time - b.time || (a.id < b.id ? -1 : 1);

function births(born, ages, now) {
  const next = { ...born };
  for (const [server, seconds] of Object.entries(ages)) {
    if (typeof seconds === "number") next[server] = now - seconds * 1000;
  }
  return next;
}

function skew(message, now, before = 0) {
  return typeof message.at === "number" ? message.at - now / 1000 : before;
}
