/** Small comforts of the pages that are complete without JavaScript. */

import "./clp-countdown.js";
import { offerCopies } from "./copy.js";
import { findAsYouType } from "./find.js";
import { keepCluster } from "./here.js";
import { listenToKeys } from "./keys.js";
import { operateInDialog } from "./operate.js";
import { keepWholePagesOut } from "./whole.js";

for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
offerCopies();
keepCluster();
findAsYouType();
listenToKeys();
keepWholePagesOut();
if (!document.body.dataset.socket) operateInDialog();
