// The cells that are worth a look, if the job keeps them.

import { $, el, fill, table } from "./dom.js";
import { count, many, price } from "./format.js";
import { Asker, calmly } from "./ask.js";
import * as chart from "./chart.js";

const asker = new Asker();

export const load = calmly(async () => {
  const told = await asker.ask("suspects");
  if (!told) return;
  $("suspects").hidden = !told.kept;
  if (!told.suspects.length) {
    fill($("suspects-body"), el("p", { class: "note" }, "Nothing is worth a look."));
    return;
  }
  const columns = [["date", "short"], ["ticker", "short"], ["kind", ""], ["price", "number"], ["beside", "number"]];
  const rows = told.suspects.map((one) => [
    one.date,
    one.id ?? many(one.cells, "ticker"),
    one.swapped_with ? `${one.kind} with ${one.swapped_with}` : one.kind,
    price(one.price),
    price(one.level),
  ]);
  const open = (at) => {
    const one = told.suspects[at];
    if (!one.id) return;
    chart.add(one.id, one.date);
  };
  const shown = told.count > rows.length ? `The newest ${count(rows.length)} of ${count(told.count)}.` : "";
  fill($("suspects-body"), table(columns, rows, open, (row) => `Explain ${row[1]} on ${row[0]}`), el("p", { class: "note" }, shown));
}, 5000);

export function batch() {
  load();
}
