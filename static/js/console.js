/** Starts the live page: listens for the status, draws it, opens dialogs. */

import "./clp-age.js";
import "./clp-change.js";
import "./clp-detail.js";
import "./clp-events.js";
import { followInTab } from "./clp-live.js";
import "./clp-outage.js";
import "./clp-problems.js";
import "./clp-topology.js";
import "./clp-tree.js";
import { showOpenEvents } from "./open-events.js";
import { operateInDialog } from "./operate.js";
import { store } from "./store.js";

const first = document.getElementById("snapshot");
followInTab();
operateInDialog();
store.addEventListener("change", () => showOpenEvents(store.state.open));
store.start(document.body.dataset.socket, first ? JSON.parse(first.textContent) : null);
