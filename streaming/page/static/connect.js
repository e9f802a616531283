// How other programs reach the database.

import { $, el, fill } from "./dom.js";
import { Asker } from "./ask.js";

export async function load() {
  const told = await new Asker().ask("connect");
  if (!told) return;
  fill(
    $("connect-body"),
    snippet("URI", told.uri),
    told.snippets.map(({ name, text }) => el("details", {}, el("summary", {}, name), snippet(name, text))),
  );
}

function snippet(name, text) {
  const button = el("button", { type: "button", "aria-label": `Copy: ${name}` }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return el("div", { class: "snippet" }, el("pre", { tabindex: "0" }, text), button);
}
