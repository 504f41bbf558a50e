/** Small comforts of the pages that are complete without JavaScript. */

import "./clp-countdown.js";
import { offerCopies } from "./copy.js";
import { operateInDialog } from "./operate.js";

for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
offerCopies();
if (!document.body.dataset.socket) operateInDialog();
