/** Where each group belongs in the picture. */

import { once } from "./memo.js";

const HOLDING = new Set(["Online", "Online Pending", "Offline Pending", "Online Failure", "Offline Failure"]);

/** Servers on which a group is drawn: all that hold it, else the one that held it last; none: on the shelf. */
export const places = (group) => once(placesOf, group);

function placesOf(group) {
  const holding = Object.entries(group.servers).filter(([, one]) => HOLDING.has(one.status)).map(([server]) => server);
  const all = [...new Set([...group.active_on, ...holding])];
  if (all.length > 0) return all.map((server) => ({ server, status: group.servers[server]?.status ?? group.status }));
  const lastKnown = Object.entries(group.servers).find(([, one]) => one.status === "Unknown" && one.detail);
  if (group.status === "Unknown" && lastKnown) return [{ server: lastKnown[0], status: "Unknown" }];
  return [];
}

/** server -> [{group, status, twice, key}]; under "" those that run nowhere. Of a group that has not changed since the
 * status before, they are the same objects. */
export const arrangement = (status) => once(arranged, status);

function arranged(status) {
  const shelves = new Map(Object.keys(status.servers).map((name) => [name, []]));
  shelves.set("", []);
  for (const group of Object.values(status.groups)) {
    const found = once(cardsOf, group).filter(({ server }) => shelves.has(server));
    for (const { server, card } of found) shelves.get(server).push(card);
    if (found.length === 0) shelves.get("").push(once(shelved, group));
  }
  return shelves;
}

function cardsOf(group) {
  const twice = group.active_on.length > 1;
  return places(group).map(({ server, status }, index) => ({
    server, card: { group, status, twice, key: index === 0 ? group.name : `${group.name}@${server}` },
  }));
}

const shelved = (group) => ({ group, status: group.status, twice: group.active_on.length > 1, key: group.name });

/** Addresses that move with a group. */
export const addresses = (status, group) => group.resources.map((name) => addressBook(status).get(name)).filter(Boolean);

/** Resource -> address, of those that have one; the same object as before while nothing in it differs. */
export const addressBook = (status) => once(bookOf, status.resources);

let newestBook = new Map();

function bookOf(resources) {
  let count = 0;
  let same = true;
  for (const name in resources) {
    const { address } = resources[name];
    if (!address) continue;
    count += 1;
    same &&= newestBook.get(name) === address;
  }
  if (same && count === newestBook.size) return newestBook;
  newestBook = new Map(Object.entries(resources).filter(([, one]) => one.address).map(([name, one]) => [name, one.address]));
  return newestBook;
}
