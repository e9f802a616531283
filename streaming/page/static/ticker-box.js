// The box in which a ticker is typed. The server finds what fits; a few matches each time, whatever the number of tickers.

import { $, el, fill } from "./dom.js";
import { price } from "./format.js";
import { Asker } from "./ask.js";

/** take: called with the ticker that was chosen. */
export function tickerBox(take) {
  const [input, list, asker] = [$("ticker"), $("ticker-list"), new Asker()];
  let found = [];
  let at = -1;

  const open = (shown) => {
    list.hidden = !shown;
    input.setAttribute("aria-expanded", String(shown));
    if (!shown) input.removeAttribute("aria-activedescendant");
  };
  const mark = (to) => {
    at = to;
    [...list.children].forEach((row, number) => row.setAttribute("aria-selected", String(number === at)));
    if (list.children[at]?.id) {
      input.setAttribute("aria-activedescendant", list.children[at].id);
      list.children[at].scrollIntoView({ block: "nearest" });
    }
  };
  const choose = (ticker) => {
    input.value = "";
    open(false);
    take(ticker);
  };
  const look = async () => {
    const answer = await asker.ask("tickers", { q: input.value.trim() });
    if (answer === null || document.activeElement !== input) return;
    found = answer;
    const rows = found.map((match, number) =>
      el(
        "li",
        { id: `match-${number}`, role: "option", onpointerdown: (event) => { event.preventDefault(); choose(match.id); } },
        el("b", {}, match.id),
        el("span", { class: "more" }, match.date ? `${price(match.price)} on ${match.date}` : ""),
      ),
    );
    fill(list, rows.length ? rows : el("li", { class: "more" }, "no ticker fits"));
    mark(found.length ? 0 : -1);
    open(true);
  };

  input.addEventListener("input", look);
  input.addEventListener("focus", look);
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") open(false);
    if (event.key === "Enter" && found[at] && !list.hidden) choose(found[at].id);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) {
      event.preventDefault();
      mark((at + step + found.length) % found.length);
    }
  });
}
