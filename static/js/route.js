/** Each object has an address in the page, so that back, forward and bookmarks work: #/group/failover1. */

const KINDS = new Set(["cluster", "server", "group", "resource", "monitor", "heartbeat", "resolver", "fence"]);

export const link = (kind, name = "") => (name ? `#/${kind}/${encodeURIComponent(name)}` : `#/${kind}`);

/** The object that the address names; the cluster when it names none. */
export function current(hash = location.hash) {
  const [kind, name = ""] = hash.replace(/^#\//, "").split("/");
  if (!KINDS.has(kind)) return { kind: "cluster", name: "" };
  try {
    return { kind, name: decodeURIComponent(name) };
  } catch {
    return { kind: "cluster", name: "" };
  }
}

export const isCurrent = (kind, name) => {
  const here = current();
  return here.kind === kind && here.name === name;
};
