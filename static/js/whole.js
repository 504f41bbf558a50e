/** A whole page that answers the request for a part of one (an error, the sign-in) never stands inside of this one. */

export function keepWholePagesOut() {
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo, serverResponse } = event.detail;
    if (!/^\s*<!doctype/i.test(serverResponse)) return;
    event.detail.shouldSwap = false;
    const elsewhere = new URL(xhr.responseURL).pathname !== new URL(pathInfo.requestPath, location).pathname;
    // Signed out meanwhile: this page would grow old without a word. Not where somebody may have typed something.
    if (elsewhere && !document.querySelector("form[data-fields], dialog[open]")) location.reload();
  });
}
