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

/** server -> [{group, status, twice, key}]; under "" those that run nowhere. */
export const arrangement = (status) => once(arranged, status);

function arranged(status) {
  const shelves = new Map(Object.keys(status.servers).map((name) => [name, []]));
  shelves.set("", []);
  for (const group of Object.values(status.groups)) {
    const found = places(group).filter(({ server }) => shelves.has(server));
    const twice = group.active_on.length > 1;
    found.forEach(({ server, status: word }, index) => {
      const key = index === 0 ? group.name : `${group.name}@${server}`;
      shelves.get(server).push({ group, status: word, twice, key });
    });
    if (found.length === 0) shelves.get("").push({ group, status: group.status, twice, key: group.name });
  }
  return shelves;
}

/** Addresses that move with a group. */
export const addresses = (status, group) => group.resources.map((name) => status.resources[name]?.address).filter(Boolean);
