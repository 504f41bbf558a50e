/** Draws plain descriptions of elements into the page, changing only what differs, so that focus and selection stay. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Describe an element. `key` keeps its identity among its siblings; `opaque` leaves its children to itself. The same
 * description given again says that nothing in it has changed.
 * @param {string} tag
 * @param {Record<string, any>|null} [props]
 * @param {...any} children
 */
export function h(tag, props, ...children) {
  const { key, opaque, ...rest } = props ?? {};
  return { tag, key, opaque, props: rest, children: children.flat(Infinity).filter(isShown) };
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}

/** Make the children of `parent` equal to `wanted`. */
export function patch(parent, wanted, namespace) {
  arrange(parent, wanted.flat(Infinity).filter(isShown), namespace);
}

function arrange(parent, wanted, namespace) {
  let place = parent.firstChild;
  let at = 0;
  // Mostly all stand where they stood; only what follows the first that does not has to be looked for.
  for (; at < wanted.length && place && fits(place, wanted[at]); at += 1) {
    update(place, wanted[at], namespace);
    place = place.nextSibling;
  }
  const reusable = place && at < wanted.length ? sortOut(place) : NOTHING;
  for (; at < wanted.length; at += 1) {
    const child = wanted[at];
    const node = take(reusable, child) ?? create(child, namespace);
    if (node === place) place = place.nextSibling;
    else putBefore(parent, node, place);
    update(node, child, namespace);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const NOTHING = Object.freeze({ keyed: new Map(), plain: new Map() });

function fits({ clpMade: made }, child) {
  return typeof child === "object" ? made?.tag === child.tag && made.key === child.key : made?.tag === "#text";
}

function update(node, child, namespace) {
  if (typeof child === "object") refresh(node, child, namespace);
  else if (node.data !== String(child)) node.data = String(child);
}

/** What may be used again, from `first` on. */
function sortOut(first) {
  const reusable = { keyed: new Map(), plain: new Map() };
  for (let node = first; node; node = node.nextSibling) {
    const made = node.clpMade;
    if (!made) continue;
    if (made.key !== undefined) reusable.keyed.set(made.key, node);
    else if (reusable.plain.has(made.tag)) reusable.plain.get(made.tag).push(node);
    else reusable.plain.set(made.tag, [node]);
  }
  return reusable;
}

function take(reusable, child) {
  if (typeof child !== "object") return reusable.plain.get("#text")?.shift();
  if (child.key === undefined) return reusable.plain.get(child.tag)?.shift();
  const node = reusable.keyed.get(child.key);
  if (node?.clpMade.tag !== child.tag) return undefined;
  reusable.keyed.delete(child.key);
  return node;
}

function create(child, namespace) {
  if (typeof child !== "object") {
    const text = document.createTextNode(String(child));
    text.clpMade = { tag: "#text" };
    return text;
  }
  const space = child.tag === "svg" ? SVG : namespace;
  const node = space ? document.createElementNS(space, child.tag) : document.createElement(child.tag);
  node.clpMade = { tag: child.tag, key: child.key, props: {} };
  return node;
}

function putBefore(parent, node, place) {
  // moveBefore keeps focus and running animations of an element that only changes its place.
  if (node.parentNode === parent && parent.moveBefore) parent.moveBefore(node, place);
  else parent.insertBefore(node, place);
}

function refresh(node, child, namespace) {
  const last = node.clpMade.child;
  if (last === child) return;
  node.clpMade.child = child;
  const before = node.clpMade.props;
  for (const name of Object.keys(before)) if (!(name in child.props)) setProperty(node, name, null);
  for (const [name, value] of Object.entries(child.props)) {
    if (before[name] !== value) setProperty(node, name, value);
  }
  node.clpMade.props = child.props;
  if (!child.opaque && !sameChildren(last, child)) arrange(node, child.children, child.tag === "svg" ? SVG : namespace);
}

/** Of a table of hundreds mostly no row has changed. */
function sameChildren(last, { children }) {
  return last?.children.length === children.length && children.every((child, index) => child === last.children[index]);
}

function setProperty(node, name, value) {
  if (name.startsWith("on")) node[name] = value;
  else if (name === "value") node.value = value ?? "";
  else if (name === "style") for (const [key, text] of Object.entries(value ?? {})) node.style.setProperty(key, text);
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}
