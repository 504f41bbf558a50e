/** Keeps lists and timelines of recoveries current: the servers' events say when to look again. */

const GATHER_MS = 300;
const GROW_MS = 1000;
const AGAIN_MS = 5000;

let pending = 0;
let busy = false;
let missed = false;

const part = (root) => root.querySelector("[data-live]");

/** The page as it is now; what somebody works in stays as it is. */
async function refresh() {
  pending = 0;
  if (document.hidden || busy) {
    missed = true;
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(20_000) });
    if (answer.redirected) location.reload();
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    plan(AGAIN_MS);
  } finally {
    busy = false;
  }
  if (part(document)?.hasAttribute("data-running")) plan(GROW_MS);
  else if (missed) plan(GATHER_MS);
  missed = false;
}

function show(next) {
  const old = part(document);
  const now = part(next);
  if (!old || !now || old.innerHTML === now.innerHTML) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const marked = !document.getSelection().isCollapsed && old.contains(document.getSelection().anchorNode);
  if (marked) return;
  const [tag, place] = focused ? [focused.tagName, [...old.querySelectorAll(focused.tagName)].indexOf(focused)] : ["", -1];
  const scrolled = [...old.querySelectorAll(".table")].map((table) => table.scrollLeft);
  old.innerHTML = now.innerHTML;
  old.toggleAttribute("data-running", now.hasAttribute("data-running"));
  [...old.querySelectorAll(".table")].forEach((table, n) => (table.scrollLeft = scrolled[n] ?? 0));
  if (place >= 0) old.querySelectorAll(tag)[place]?.focus({ preventScroll: true });
}

function plan(delay) {
  if (!pending) pending = setTimeout(refresh, delay);
}

function listen(path) {
  const source = new EventSource(path);
  source.addEventListener("note", () => plan(GATHER_MS));
  // Refused for good (too many listen, or no right any more): look now and then instead.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => plan(0), AGAIN_MS);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && missed) plan(0);
});
const live = part(document);
if (live) {
  listen(live.dataset.stream);
  if (live.hasAttribute("data-running")) plan(GROW_MS);
}
