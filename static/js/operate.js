/** Opens the preview of an operation in a dialog; without this module the same link leads to the same page. */

import { store } from "./store.js";

const dialog = document.getElementById("operate-dialog");
const body = document.getElementById("operate-body");

export function operateInDialog() {
  if (!dialog || !body || !globalThis.htmx) return;
  document.addEventListener("click", open);
  document.addEventListener("keydown", press);
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  dialog.addEventListener("close", () => body.replaceChildren());
  // The manager tells when an operation moves on: no need to wait for the next poll.
  store.addEventListener("operation", ({ detail }) => {
    const shown = body.querySelector(`[data-operation="${CSS.escape(detail.id)}"]`);
    if (shown) globalThis.htmx.trigger(shown, "moved");
  });
}

/** What is called a button is pressed by the space bar, too. */
function press(event) {
  if (event.key !== " " || !event.target.matches("a[role=button]")) return;
  event.preventDefault();
  event.target.click();
}

async function open(event) {
  const link = event.target.closest("a[data-operate]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  body.setAttribute("aria-busy", "true");
  dialog.showModal();
  await globalThis.htmx.ajax("GET", link.href, { target: body, swap: "innerHTML" });
  body.removeAttribute("aria-busy");
  // The server answers errors with whole pages; then the page itself is the better place to read them.
  if (!body.firstElementChild) location.assign(link.href);
}
