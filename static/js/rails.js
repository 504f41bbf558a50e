/** The lines of the picture: each heartbeat LAN is a rail above every row of servers, joined at the left. */

import { h } from "./dom.js";
import { look } from "./look.js";
import { outlook, portState } from "./paths.js";

const GAP = 14; // between rails
const ABOVE = 18; // between the lowest rail and the ports
const MARGIN = 5;

/** Descriptions of all lines, for the rows of a picture as they were measured. */
export function drawRails(rows, paths) {
  if (rows.length === 0 || paths.length === 0) return [];
  return paths.flatMap((path, index) => rail(path, index, paths.length, rows));
}

/** Rows of servers, each with the ports' places relative to the picture. The browser has to lay out the page for it. */
export function measureRows(picture) {
  const origin = picture.querySelector(".picture")?.getBoundingClientRect();
  const rows = new Map();
  for (const card of picture.querySelectorAll(".server-card")) {
    const box = card.getBoundingClientRect();
    const top = Math.round(box.top - origin.top);
    if (!rows.has(top)) rows.set(top, { top, ports: [] });
    for (const port of card.querySelectorAll(".port")) rows.get(top).ports.push(place(port, card.dataset.server, origin));
  }
  return [...rows.values()];
}

function place(port, server, origin) {
  const box = port.getBoundingClientRect();
  return { lan: port.dataset.lan, server, x: Math.round(box.left + box.width / 2 - origin.left), y: Math.round(box.top - origin.top) };
}

function rail(path, index, count, rows) {
  const height = (row) => row.top - ABOVE - (count - 1 - index) * GAP;
  const left = MARGIN + index * 6;
  const many = rows.length > 1;
  const state = look(outlook(path));
  const key = (part) => `${path.name}/${part}`;
  const lines = rows.flatMap((row, at) => {
    const ports = row.ports.filter((port) => port.lan === path.name).map((port) => ({ ...port, look: look(portState(path, port.server)) }));
    const xs = ports.map((port) => port.x);
    if (xs.length === 0) return [];
    const from = many ? left : Math.min(...xs);
    const rails = h("path", { key: key(`rail${at}`), class: "rail", "data-look": state, "data-arbiter": path.arbiter, d: `M${from} ${height(row)}H${Math.max(...xs)}` });
    const end = path.arbiter && at === 0 && box(from, height(row), state, key("box"));
    const near = path.worst && at === 0 && share(path.worst, Math.max(...xs), height(row), key("share"));
    return [rails, end, near, ...ports.flatMap((port, order) => stub(port, height(row), key(`${at}.${order}`), path.arbiter))];
  });
  const spine = h("path", { key: key("spine"), class: "rail", "data-look": state, "data-arbiter": path.arbiter, d: `M${left} ${height(rows[0])}V${height(rows.at(-1))}` });
  return many ? [spine, ...lines] : lines;
}

/** What an arbiter's line comes from: no server, so a square at its beginning. */
const box = (x, y, state, key) => h("rect", { key, class: "knot", "data-look": state, x: x - 5, y: y - 5, width: 10, height: 10, rx: 2 });

/** How near the gaps of today come to the timeout, behind the last server of the first row. */
const share = (worst, x, y, key) => h("text", { key, class: "share", "data-look": worst.percent >= 80 ? "bad" : worst.percent >= 50 ? "warn" : "idle", x: x + 8, y: y + 4 }, `${worst.percent} %`);

/** From the rail down to the server; a cut path is visibly interrupted. */
function stub(port, y, key, arbiter) {
  const middle = port.y - ABOVE / 2; // Below the lowest rail, where nothing crosses.
  const open = port.look === "bad" || port.look === "idle";
  const line = h("path", { key: `${key}/stub`, class: "stub", "data-look": port.look, "data-arbiter": arbiter, d: open ? `M${port.x} ${y}V${middle - 4}M${port.x} ${middle + 4}V${port.y}` : `M${port.x} ${y}V${port.y}` });
  const knot = h("circle", { key: `${key}/knot`, class: "knot", "data-look": port.look, cx: port.x, cy: y, r: 3 });
  const cross = port.look === "bad" && h("path", { key: `${key}/cross`, class: "stub", "data-look": "bad", d: `M${port.x - 4} ${middle - 4}l8 8m0 -8l-8 8` });
  return [line, knot, cross];
}
