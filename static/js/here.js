/** Where there are several clusters, every address names the one that is meant: a link shown to a colleague shows the
 * same, and two tabs with two clusters stay apart, also when a form is sent. */

const cluster = () => document.body.dataset.cluster ?? "";
// Pages about the whole manager; what stands below them belongs to no cluster.
const WHOLE = /^\/(overview|search|login|logout|account|users|agents|audit|language|jsi18n|static)\b/;

/** The address with the cluster of this page in it, unless it names one. */
export function withCluster(address) {
  const name = cluster();
  const url = new URL(address, location.href);
  if (!name || url.origin !== location.origin || WHOLE.test(url.pathname) || url.searchParams.has("cluster")) return address;
  url.searchParams.set("cluster", name);
  return url.pathname + url.search + url.hash;
}

export function keepCluster() {
  if (!cluster()) return;
  const here = new URL(location.href);
  if (!here.searchParams.has("cluster") && !WHOLE.test(here.pathname)) history.replaceState(history.state, "", withCluster(location.href));
  // Just before it is used, so that what is drawn later counts as well.
  for (const kind of ["pointerdown", "keydown", "click", "focusin"]) document.addEventListener(kind, follow, true);
  document.addEventListener("submit", send, true);
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.path = withCluster(event.detail.path);
  });
}

function follow(event) {
  const link = event.target.closest?.("a[href]");
  const address = link?.getAttribute("href");
  if (!address || address.startsWith("#")) return;
  const named = withCluster(link.href);
  if (named !== link.href) link.href = named;
}

function send(event) {
  const form = event.target;
  if (form.method === "get") {
    if (WHOLE.test(new URL(form.action).pathname) || form.elements.namedItem("cluster")) return;
    const field = Object.assign(document.createElement("input"), { type: "hidden", name: "cluster", value: cluster() });
    form.append(field);
  } else {
    form.setAttribute("action", withCluster(form.getAttribute("action") || location.href));
  }
}
