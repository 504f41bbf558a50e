/** Starts the time machine: the live page's components, driven by the replay instead of the socket. */

import "./clp-detail.js";
import "./clp-events.js";
import "./clp-problems.js";
import "./clp-topology.js";
import "./clp-tree.js";
import "./history-age.js";
import { moment } from "./history-player.js";
import { replay } from "./history-replay.js";

const ADDRESS_EVERY_MS = 500; // Browsers refuse to be told more often.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const banner = document.getElementById("past-time");
const title = document.title;
let told = 0;

/** The address always leads back to what is shown, so that it can be sent to somebody. */
function keepAddress() {
  const query = new URLSearchParams({ cluster: replay.cluster, ...(replay.event ? { event: replay.event } : { at: replay.at.toFixed(3) }) });
  if (location.search !== `?${query}`) history.replaceState(null, "", `?${query}${location.hash}`);
}

replay.addEventListener("change", () => {
  const text = moment(replay.at);
  if (banner.textContent !== text) {
    banner.textContent = text;
    banner.dateTime = new Date(replay.at * 1000).toISOString();
    document.title = `${text} · ${title}`;
  }
  told ||= setTimeout(() => {
    told = 0;
    keepAddress();
  }, ADDRESS_EVERY_MS);
});

// In the list of events a time leads to that time here, without loading the page.
document.querySelector("clp-events").addEventListener("click", (event) => {
  const target = event.target.closest("time a")?.closest("li[data-id]");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  replay.pause();
  replay.seek(0, target.dataset.id);
});

document.querySelector("clp-player").begin(read("line"), Number(new URLSearchParams(location.search).get("span") ?? 3600));
replay.start(document.body.dataset.past, read("past"));
