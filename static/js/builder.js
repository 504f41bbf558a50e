/** Comforts of the Builder: order by drag and by keyboard, a warning before typed text is lost, Ctrl+S. Every page works without. */

const MOVED = "openclp-moved";
const ANSWER_MS = 10_000; // for so long a move is awaited, and further ones wait for it

for (const form of document.querySelectorAll("form[data-order]")) order(form);
for (const form of document.querySelectorAll("form[data-fields]")) guard(form);

function order(form) {
  const list = form.querySelector("ol");
  const rows = () => [...list.children];
  let dragged = null;
  let sentAt = 0;

  for (const row of rows().filter((one) => one.draggable)) {
    row.addEventListener("dragstart", (event) => {
      dragged = row;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", row.dataset.name);
    });
    row.addEventListener("dragover", (event) => {
      if (!dragged) return;
      event.preventDefault();
      row.toggleAttribute("data-over", row !== dragged);
    });
    row.addEventListener("dragleave", () => row.removeAttribute("data-over"));
    row.addEventListener("drop", (event) => {
      event.preventDefault();
      row.removeAttribute("data-over");
      if (!dragged || dragged === row) return;
      const later = rows().indexOf(row) > rows().indexOf(dragged);
      if (later) row.after(dragged);
      else row.before(dragged);
      remember(form, dragged.dataset.name, "");
      form.requestSubmit();
    });
    row.addEventListener("dragend", () => { dragged = null; });
  }

  form.addEventListener("keydown", (event) => {
    const way = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    const row = event.target.closest?.("li");
    if (!event.altKey || !way || !row) return;
    event.preventDefault();
    if (Date.now() - sentAt < ANSWER_MS) goOn(way);
    else button(row, way)?.click();
  });
  form.addEventListener("submit", (event) => {
    sentAt = Date.now();
    const [name, way] = (event.submitter?.value ?? "").split(":");
    if (way) remember(form, name, way);
  });
  addEventListener("pageshow", () => { sentAt = 0; });
  tell(form, rows());
}

function button(row, way) {
  return [...row.querySelectorAll("button")].find((one) => one.value.endsWith(`:${way}`) && !one.disabled);
}

/** The page is loaded anew after each move: then the focus goes on with the row, and its place is said. */
function remember(form, name, way, then = []) {
  sessionStorage.setItem(MOVED, JSON.stringify({ path: path(form), name, way, then }));
}

/** Where there are several clusters, the address gets the present one just before it is used (here.js). */
function path(form) {
  return new URL(form.action).pathname;
}

/** Pressed before the answer to the move before is there: this page is old then, the next one does it. */
function goOn(way) {
  const moved = JSON.parse(sessionStorage.getItem(MOVED) ?? "null");
  if (moved) sessionStorage.setItem(MOVED, JSON.stringify({ ...moved, then: [...moved.then, way] }));
}

function tell(form, rows) {
  const moved = JSON.parse(sessionStorage.getItem(MOVED) ?? "null");
  if (moved?.path !== path(form)) return;
  sessionStorage.removeItem(MOVED);
  const at = rows.findIndex((row) => row.dataset.name === moved.name);
  if (at < 0) return;
  const [next, ...then] = moved.then;
  const onward = next && button(rows[at], next);
  if (onward) {
    onward.click();
    remember(form, moved.name, next, then);
    return;
  }
  const focus = () => (button(rows[at], moved.way) ?? rows[at].querySelector("button:enabled"))?.focus();
  const places = { name: moved.name, place: at + 1, count: rows.length };
  focus(); // Now, so that the next key counts.
  settled(() => {
    if (!form.contains(document.activeElement)) focus();
    form.querySelector("[data-say]").textContent = form.dataset.moved.replace(/\{(\w+)\}/g, (_all, word) => places[word]);
  });
}

/** When the browser has gone to the fragment of the address, which takes the focus away: with the first picture, which on
 * a busy machine comes long after "load". */
function settled(then) {
  const picture = () => requestAnimationFrame(() => requestAnimationFrame(then));
  if (document.readyState === "complete") picture();
  else addEventListener("load", picture);
}

function guard(form) {
  let dirty = form.querySelector("[aria-invalid]") !== null;
  form.addEventListener("input", () => { dirty = true; });
  form.addEventListener("submit", () => { dirty = false; });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      form.requestSubmit(form.querySelector("button.primary"));
    }
  });
}
