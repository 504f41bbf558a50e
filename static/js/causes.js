/** Follows the causes of an event back to the first evidence. */

const DEPTH = 16;
const indexes = new WeakMap();

function byId(events) {
  if (!indexes.has(events)) indexes.set(events, new Map(events.map((note) => [note.id, note])));
  return indexes.get(events);
}

/** {note, because: [the same…]}; a cause that is no longer in the list, or that would go round, is left out. */
export function chain(events, note, seen = new Set()) {
  const index = byId(events);
  const known = new Set([...seen, note.id]);
  const causes = known.size > DEPTH ? [] : note.causes.filter((id) => index.has(id) && !known.has(id));
  return { note, because: causes.map((id) => chain(events, index.get(id), known)) };
}

/** The newest event that says why a group is where it is. */
export function decision(events, group) {
  const about = events.filter((note) => note.kind === "group" && note.name === group);
  return about.findLast((note) => note.causes.length > 0) ?? about.at(-1) ?? null;
}

/** When an object got into its present state, by the event log; 0 when the log does not reach that far. */
export function since(events, kind, name) {
  return events.findLast((note) => note.kind === kind && note.name === name)?.time ?? 0;
}
