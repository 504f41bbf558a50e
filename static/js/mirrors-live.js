/** Keeps the pages of mirror disks current: the manager tells when something of a mirror has changed, the page is asked. */

import { Store } from "./store.js";

const GATHER_MS = 100;
const REST_MS = 1000; // A copy moves each second: no page needs to be asked more often.
const AGAIN_MS = 5000;

const part = document.querySelector("[data-live-mirrors]");
const store = new Store();
let seen;
let pending = 0;
let busy = false;
let missed = false;
let askedAt = 0;

/** What this page shows of the state: the same object, nothing has changed. */
function wanted() {
  const mirrors = store.state.status?.mirrors;
  return part.dataset.mirror ? mirrors?.[part.dataset.mirror] : mirrors;
}

function look() {
  const now = wanted();
  if (now === seen || now === undefined) return;
  seen = now;
  plan();
}

function plan(delay = GATHER_MS) {
  if (!pending) pending = setTimeout(refresh, Math.max(delay, askedAt + REST_MS - Date.now()));
}

async function refresh() {
  pending = 0;
  if (document.hidden || busy) {
    missed = true;
    return;
  }
  busy = true;
  missed = false;
  askedAt = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(20_000) });
    if (answer.redirected || answer.status === 403 || answer.status === 404) location.reload();
    else if (answer.ok) show(await answer.text());
    else plan(AGAIN_MS);
  } catch {
    plan(AGAIN_MS);
  } finally {
    busy = false;
  }
  if (missed) plan();
}

/** What somebody works in, has chosen or has scrolled stays as it is. */
function show(text) {
  const selection = document.getSelection();
  if (!selection.isCollapsed && part.contains(selection.anchorNode)) {
    missed = true;
    return;
  }
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && [...part.querySelectorAll(focused.tagName)].indexOf(focused);
  const key = focused && identity(focused);
  const scrolled = [...part.querySelectorAll(".table")].map((table) => table.scrollLeft);
  // Our own page, rendered by our own server, as the one that is replaced.
  part.innerHTML = text;
  [...part.querySelectorAll(".table")].forEach((table, number) => (table.scrollLeft = scrolled[number] ?? 0));
  if (!focused) return;
  const found = [...part.querySelectorAll(focused.tagName)];
  (found.find((element) => key && identity(element) === key) ?? found[place])?.focus({ preventScroll: true });
}

const identity = (element) => element.getAttribute("href") ?? element.getAttribute("aria-labelledby") ?? element.id;

if (part) {
  // Also at first: between the making of the page and the first state that is heard something may have changed.
  store.addEventListener("change", look);
  store.start(part.dataset.liveMirrors, null);
  document.addEventListener("visibilitychange", () => !document.hidden && missed && plan());
}
