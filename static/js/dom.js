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
  const reusable = sortOut(parent);
  let place = parent.firstChild;
  for (const child of wanted.flat(Infinity).filter(isShown)) {
    const node = take(reusable, child) ?? create(child, namespace);
    if (node === place) place = place.nextSibling;
    else putBefore(parent, node, place);
    if (typeof child === "object") refresh(node, child, namespace);
    else if (node.data !== String(child)) node.data = String(child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function sortOut(parent) {
  const reusable = { keyed: new Map(), plain: new Map() };
  for (const node of parent.childNodes) {
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
  if (node.clpMade.child === child) return;
  node.clpMade.child = child;
  const before = node.clpMade.props;
  for (const name of Object.keys(before)) if (!(name in child.props)) setProperty(node, name, null);
  for (const [name, value] of Object.entries(child.props)) {
    if (before[name] !== value) setProperty(node, name, value);
  }
  node.clpMade.props = child.props;
  if (!child.opaque) patch(node, child.children, child.tag === "svg" ? SVG : namespace);
}

function setProperty(node, name, value) {
  if (name.startsWith("on")) node[name] = value;
  else if (name === "value") node.value = value ?? "";
  else if (name === "style") for (const [key, text] of Object.entries(value ?? {})) node.style.setProperty(key, text);
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}
