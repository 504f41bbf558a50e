/** The event log goes on by itself: new rows appear where they belong without moving what somebody reads, and who has
 * acknowledged what shows in every browser. The manager draws the rows, so that the filter means the same everywhere. */

import { send, words } from "./acknowledge.js";
import { patch } from "./dom.js";
import { withCluster } from "./here.js";
import { showOpenEvents } from "./open-events.js";
import { EMPTY, reduce } from "./overview-state.js";
import { Store } from "./store.js";
import { _, clock, fill, plural } from "./text.js";

const STORED_MS = 400; // The manager's database is so far behind.
const AGAIN_MS = 1500;
const ROWS_MOST = 500;

const form = document.getElementById("log-form");
const list = document.getElementById("log");
const news = document.getElementById("log-news");
const live = document.getElementById("log-live");
const store = new Store(EMPTY, reduce, () => 0);

let seen = Number(form.dataset.seen);
let waiting = []; // rows that somebody has to ask for, since he reads
let busy = false;
let again = 0;
let told = null; // the newest summary

store.addEventListener("change", () => {
  sayHowLive();
  const [now] = Object.values(store.state.clusters);
  if (!now || now === told) return;
  const before = told;
  told = now;
  showOpenEvents(now.open);
  if (!before || before.events !== now.events) later(look, STORED_MS);
  const openOf = (one) => `${one.open.error}/${one.open.warning}/${one.acks}`;
  if (!before || openOf(before) !== openOf(now)) later(readAcknowledgements, 0);
});
news.firstElementChild.addEventListener("click", () => {
  place(waiting);
  waiting = [];
  sayNews();
  scrollTo(0, 0);
});
form.addEventListener("submit", submit);
store.start(document.body.dataset.overview, null);

function sayHowLive() {
  const text = store.stale
    ? fill(_("Not live since %(time)s; new events are missing."), { time: clock(store.heardAt / 1000) })
    : form.dataset.older !== undefined ? _("Older events; new ones appear on the first page.") : _("Live: new events appear by themselves.");
  if (live.textContent !== text) live.textContent = text;
}

function later(work, ms) {
  setTimeout(() => work().catch(() => {}), ms); // What was not reached is asked for with the next news.
}

async function look() {
  if (form.dataset.older !== undefined) return;
  if (busy) {
    again = STORED_MS;
    return;
  }
  busy = true;
  const before = seen;
  try {
    await fetchRows();
  } finally {
    busy = false;
  }
  // It was told before it was stored.
  if (again || seen === before) later(look, again || AGAIN_MS);
  again = 0;
}

async function fetchRows() {
  const query = new URLSearchParams(form.dataset.query);
  query.set("after", String(seen));
  const answer = await fetch(withCluster(`${form.dataset.rows}?${query}`));
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(`<ol>${await answer.text()}</ol>`, "text/html");
  const rows = [...page.querySelectorAll("li[data-number]")].filter((row) => !document.getElementById(row.id));
  seen = Math.max(seen, Number(answer.headers.get("X-Newest")));
  if (rows.length === 0) return;
  if (isRead()) {
    waiting = [...rows.filter((row) => !waiting.some((one) => one.id === row.id)), ...waiting];
    sayNews();
  } else {
    place(rows);
  }
}

/** Somebody has scrolled down, or works in the list: nothing moves below his eyes. */
const isRead = () => scrollY > 0 || form.contains(document.activeElement) || getSelection()?.type === "Range";

function place(rows) {
  list.querySelector("li.none")?.remove();
  for (const row of rows) {
    const older = [...list.children].find((one) => Number(one.dataset.time) < Number(row.dataset.time));
    list.insertBefore(document.adoptNode(row), older ?? null);
  }
  while (list.children.length > ROWS_MOST) list.lastElementChild.remove();
  form.elements.namedItem("seen").value = String(seen);
}

function sayNews() {
  news.hidden = waiting.length === 0;
  news.firstElementChild.textContent = plural("Show %(count)s new event", "Show %(count)s new events", waiting.length);
}

async function readAcknowledgements() {
  const open = [...list.querySelectorAll("li[data-number]")].filter((row) => row.querySelector(".ack :is(button, .tag)"));
  if (open.length === 0) return;
  const query = new URLSearchParams(open.slice(0, 200).map((row) => ["number", row.dataset.number]));
  const answer = await fetch(withCluster(`${form.dataset.acks}?${query}`));
  if (!answer.ok) return;
  const { acknowledged } = await answer.json();
  for (const row of open) if (acknowledged[row.dataset.number]) mark(row, acknowledged[row.dataset.number]);
}

function mark(row, found) {
  const place = row.querySelector(".ack");
  const had = place.contains(document.activeElement);
  place.replaceChildren();
  patch(place, words(found));
  if (had) (row.querySelector("a[href]") ?? list).focus(); // The button is gone; the focus stays in its row.
}

/** One event: at once and in place. Many: the manager says how many they were, on a new page. */
async function submit(event) {
  const button = event.submitter;
  if (button?.name !== "one") return;
  event.preventDefault();
  button.disabled = true;
  const comment = form.elements.namedItem("comment")?.value ?? "";
  if (await send({ one: button.value, comment })) await readAcknowledgements();
  else HTMLFormElement.prototype.submit.call(form); // The page of the refusal says why.
}
