/** Who has seen an event, and the button with which an operator says so. */

import { h } from "./dom.js";
import { withCluster } from "./here.js";
import { _, fill, moment } from "./text.js";

const isPast = () => document.body.dataset.past !== undefined;
const mayOperate = () => document.body.dataset.mayOperate === "yes";

/** "✓ bob, 03:12:07 “disk ordered”", or the button, or nothing where nothing is to be seen. */
export function acknowledgement(note, found, acknowledge) {
  if (note.severity === "info") return null;
  if (found) return h("span", { class: "ack" }, ...words(found));
  if (isPast()) return null; // Nobody asks for it there, and who did later is not what is shown.
  if (!mayOperate() || !acknowledge) return h("span", { class: "ack" }, h("span", { class: "tag" }, _("not acknowledged")));
  return h("span", { class: "ack" }, h("button", { type: "button", class: "small", onclick: () => acknowledge(note) }, _("Acknowledge"), h("span", { class: "unseen" }, ` ${note.text}`)));
}

export function words(found) {
  const who = h("span", { class: "state", "data-look": "good" }, fill(_("%(who)s, %(time)s"), { who: found.by, time: moment(found.at) }));
  return found.comment ? [who, " ", h("q", null, found.comment)] : [who];
}

/** Tells the manager; what came of it arrives over the socket, in every browser. False: it was refused or not heard. */
export async function send(fields) {
  const body = new URLSearchParams(fields);
  try {
    const answer = await fetch(withCluster("/events/acknowledge"), { method: "POST", body, headers: { Accept: "application/json", "X-CSRFToken": token() } });
    return answer.ok;
  } catch {
    return false;
  }
}

const token = () => JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] ?? "";
