// Elements are made here and nowhere else. Text is always text: no name or line of a file can become markup, and none
// can hide or turn round what stands beside it.

export const $ = (id) => document.getElementById(id);

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu; // control characters, directions, and what has no width
const READ_ALOUD = new Set(["aria-label", "title"]);

/** Such characters as escapes: `\x1b`, `\u202e`. spared: those that stay as they are. */
function seen(text, spared = "") {
  return String(text).replace(UNSEEN, (sign) => {
    if (spared.includes(sign)) return sign;
    const code = sign.codePointAt(0);
    const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
  });
}

/** el("td", {class: "number"}, "12", other): an element with attributes, listeners (`onclick`) and children. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, READ_ALOUD.has(name) ? seen(value) : value);
  }
  add(made, children);
  return made;
}

/** Puts these in the place of all that is in the element. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

function add(element, children) {
  const spared = element.matches("pre, .code") ? "\n\t" : "";
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(seen(child, spared)));
  }
}

/** A row of buttons of which one is pressed. options: [value, text]. */
export function choice(element, options, chosen, choose) {
  fill(
    element,
    options.map(([value, text, title]) =>
      el("button", { type: "button", "aria-pressed": String(value === chosen), title, onclick: () => choose(value) }, text),
    ),
  );
}

/** columns: [title, class]; rows: lists of cells; open: called with the number of the row that was chosen. */
export function table(columns, rows, open = null, label = (row) => String(row[0])) {
  const head = el("tr", {}, columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title)));
  const body = rows.map((row, at) => {
    const cells = row.map((cell, column) => el("td", { class: columns[column][1] }, cell));
    if (!open) return el("tr", {}, cells);
    const act = () => open(at);
    const press = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      act();
    };
    return el("tr", { tabindex: "0", role: "button", "aria-label": label(row), onclick: act, onkeydown: press }, cells);
  });
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, body)));
}

/** Names with their values, one below the other. */
export function facts(pairs) {
  return el(
    "dl",
    {},
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [
      el("dt", {}, name),
      el("dd", {}, value),
    ]),
  );
}

/** Opens the dialog; Escape and its button close it. */
export function show(title, ...children) {
  fill($("dialog-title"), title);
  fill($("dialog-body"), ...children);
  if (!$("dialog").open) $("dialog").showModal();
}

export function close() {
  $("dialog").close();
}
