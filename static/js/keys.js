/** The keyboard map (docs/keyboard.md): g and a letter goes to a page, / finds, ? shows all of it. One can switch it off. */

import { h, patch } from "./dom.js";
import { withCluster } from "./here.js";
import { _ } from "./text.js";

const GO_WITHIN_MS = 1500;
const OFF = "openclp-keys-off";
let wentAt = 0;
let dialog = null;

export function listenToKeys() {
  const button = document.getElementById("keys-open");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", help);
  document.addEventListener("keydown", press);
}

const isOff = () => localStorage.getItem(OFF) === "yes";

/** What is typed into a field is text, and a dialog has its own keys. */
function isTyping(event) {
  return event.target.closest?.("input, textarea, select, [contenteditable], dialog[open]") !== null;
}

function press(event) {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || isTyping(event) || isOff()) return;
  const wanted = Date.now() - wentAt < GO_WITHIN_MS ? goTo(event.key) : KEYS[event.key];
  wentAt = 0;
  if (!wanted) return;
  event.preventDefault();
  wanted();
}

const KEYS = {
  g: () => {
    wentAt = Date.now();
  },
  "/": find,
  "?": help,
};

function goTo(key) {
  const page = document.querySelector(`.pages a[data-key="${CSS.escape(key.toLowerCase())}"]`);
  return page && (() => location.assign(withCluster(page.href)));
}

function find() {
  const field = document.getElementById("find");
  field?.focus();
  field?.select();
}

function help() {
  dialog ??= made();
  patch(dialog, [content()]);
  dialog.showModal();
}

function made() {
  const element = Object.assign(document.createElement("dialog"), { id: "keys-dialog" });
  element.setAttribute("aria-labelledby", "keys-title");
  document.body.append(element);
  return element;
}

function content() {
  const pages = [...document.querySelectorAll(".pages a[data-key]")].map((page) => [["g", page.dataset.key], page.textContent]);
  const off = isOff();
  const choose = (event) => localStorage.setItem(OFF, event.target.checked ? "no" : "yes");
  return h("div", { class: "keys" },
    h("h2", { id: "keys-title" }, _("Keyboard")),
    h("label", null, h("input", { type: "checkbox", checked: !off, onchange: choose }), " ", _("Single letters are shortcuts on this browser")),
    list(_("Everywhere"), [[["/"], _("Find an object in all clusters")], [["?"], _("This list")], [["Tab"], _("To the next control; the first ones skip to the content and the search")], [["Esc"], _("Close what is open")]]),
    list(_("Pages"), pages),
    list(_("Tree of objects"), [[["↑", "↓"], _("Row before and after")], [["→", "←"], _("Open and close a branch, or go in and out")], [["Home", "End"], _("First and last row")], [["Enter"], _("Show the object")], [["a…z"], _("The next row that begins so")], [["*"], _("Open all branches beside this one")]]),
    h("p", { class: "decide" }, h("button", { type: "button", class: "button primary", onclick: () => dialog.close() }, _("Close"))));
}

function list(title, rows) {
  return h("section", { key: title }, h("h3", null, title),
    h("dl", { class: "facts" }, rows.map(([keys, text]) => h("div", { key: text }, h("dt", null, keys.flatMap((key, index) => [index > 0 && " ", h("kbd", null, key)])), h("dd", null, text)))));
}
