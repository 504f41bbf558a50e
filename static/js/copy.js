/** Buttons that copy what another element says; hidden where the browser has no clipboard (plain http elsewhere). */

export function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}

async function copy(button) {
  const from = document.getElementById(button.dataset.copy);
  const lines = from.children.length ? [...from.children].map((one) => one.textContent) : [from.textContent];
  await navigator.clipboard.writeText(lines.join("\n"));
  button.dataset.done = "";
}
