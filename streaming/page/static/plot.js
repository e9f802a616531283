// Draws lines over time, with volumes below, by uPlot (global `uPlot`). Dates are UTC days.

import { dayOf, tomorrow } from "./format.js";

const DAY = 86400;
const COLORS = ["--series-0", "--series-1", "--series-2", "--series-3", "--series-4"];
const ROOM_BELOW = 0.32; // of the height, for the volumes
const FONT = "12px system-ui, sans-serif";
const [TICK, GAP] = [6, 5]; // between a label and the lines
const ruler = document.createElement("canvas").getContext("2d");

/** How wide the axis of these labels is. */
function wide(labels) {
  ruler.font = FONT;
  return Math.ceil(Math.max(16, ...labels.map((label) => ruler.measureText(label).width))) + TICK + GAP + 2;
}

export class Plot {
  #host;
  #on;
  #plot = null;
  #data = { days: [], tickers: {}, corrections: {} };
  #names = [];
  #view = "price";
  #withFuture = false;
  #key = "";

  /** on: hover(index or null), pick(ticker, day), zoomed(). */
  constructor(host, on) {
    this.#host = host;
    this.#on = on;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#make());
    host.addEventListener("keydown", (event) => this.#keys(event));
  }

  /** Shows these values; the zoom stays if the tickers are the same. */
  draw(data, view) {
    const key = JSON.stringify([Object.keys(data.tickers), view]);
    const kept = this.#plot && key === this.#key ? this.#zoom() : this.#plot && data.days.length ? this.#zoom() : null;
    this.#data = data;
    this.#names = Object.keys(data.tickers);
    this.#view = view;
    if (!this.#plot || key !== this.#key) {
      this.#key = key;
      this.#make(kept);
    } else if (kept) {
      this.#plot.batch(() => {
        this.#plot.setData(this.#columns(kept.min), false);
        this.#plot.setScale("x", kept);
      });
    } else {
      this.#plot.setData(this.#columns(null), true);
      this.#leaveFutureOut();
    }
    this.#host.dataset.points = String(data.days.length);
  }

  /** The last so many days up to today; null: all, with those that are dated in the future. */
  showLast(days) {
    this.#withFuture = days === null;
    if (!this.#plot || !this.#data.days.length) return;
    const max = this.#last() * DAY;
    const min = days === null ? this.#data.days[0] * DAY : Math.max(max - days * DAY, this.#data.days[0] * DAY);
    this.#rescale(min, max);
  }

  /** The last day that is shown without a zoom: one that is dated in the future would press all others together. */
  #last() {
    const { days } = this.#data;
    const limit = this.#withFuture ? Infinity : tomorrow();
    return days.findLast((day) => day <= limit) ?? days.at(-1);
  }

  #leaveFutureOut() {
    const { days } = this.#data;
    if (days.length && this.#last() !== days.at(-1)) this.#rescale(days[0] * DAY, this.#last() * DAY);
  }

  /** The part that is shown, null if it is all of it. */
  #zoom() {
    const { min, max } = this.#plot.scales.x;
    const { days } = this.#data;
    return min === null || min === undefined || (min <= days[0] * DAY && max >= this.#last() * DAY) ? null : { min, max };
  }

  #rescale(min, max) {
    this.#plot.batch(() => {
      if (this.#view === "indexed") this.#plot.setData(this.#columns(min), false);
      this.#plot.setScale("x", { min, max });
    });
  }

  /** from: the moment at which an indexed line is 100. */
  #columns(from) {
    const { days, tickers } = this.#data;
    const lines = this.#names.map((name) => {
      const { price, return: back } = tickers[name];
      if (this.#view === "price") return price;
      if (this.#view === "return") return back.map((value) => (value === null ? null : 100 * value));
      const base = price.find((value, at) => value !== null && (from === null || days[at] * DAY >= from));
      return price.map((value) => (value === null || base === undefined ? null : (100 * value) / base));
    });
    return [days.map((day) => day * DAY), ...lines, ...this.#names.map((name) => tickers[name].volume)];
  }

  #size() {
    const { clientWidth: width } = this.#host;
    return { width: Math.max(width, 200), height: Math.max(240, Math.min(430, Math.round(width * 0.5))) };
  }

  #make(zoom = null) {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.#names.length) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--soft"), grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid"), width: 1 } };
    const lines = this.#names.map((label, at) => ({
      label, scale: "y", stroke: color(COLORS[at]), width: this.#view === "return" ? 1 : 1.75, spanGaps: true,
      points: { show: this.#data.days.length < 40, size: 5 },
    }));
    const volumes = this.#names.map((name, at) => ({
      label: `${name} volume`, scale: "v", stroke: null, width: 0, fill: `${color(COLORS[at])}66`,
      paths: globalThis.uPlot.paths.bars({ size: [0.8, 12] }), points: { show: false },
    }));
    const room = (u, min, max) => {
      if (min === null) return [0, 1];
      const height = max - min || Math.abs(max) * 0.02 || 1;
      return [min - height * (ROOM_BELOW / (1 - ROOM_BELOW)) * 1.1, max + height * 0.05];
    };
    const narrow = this.#host.clientWidth < 520;
    this.#plot = new globalThis.uPlot(
      {
        ...this.#size(),
        tzDate: (seconds) => globalThis.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 8 }, focus: { prox: 40 } },
        focus: { alpha: 0.55 },
        scales: { x: { time: true }, y: { range: room }, v: { range: (u, min, max) => [0, (max || 1) / (ROOM_BELOW * 0.85)] } },
        axes: [
          { ...axis, font: FONT, space: narrow ? 70 : 80 },
          {
            ...axis, font: FONT, scale: "y", ticks: { ...axis.ticks, size: TICK }, gap: GAP,
            values: (u, marks) => marks.map((mark) => this.#mark(u, mark)), size: (u, labels) => wide(labels ?? []),
          },
        ],
        series: [{}, ...lines, ...volumes],
        hooks: {
          draw: [(u) => this.#dots(u, color("--warn"), color("--panel")), (u) => this.#tell(u)],
          setCursor: [(u) => this.#on.hover(u.cursor.idx ?? null)],
          setSelect: [(u) => this.#selected(u)],
          ready: [(u) => this.#clicks(u)],
        },
      },
      this.#columns(zoom?.min ?? null),
      this.#host,
    );
    if (zoom) this.#rescale(zoom.min, zoom.max);
    else this.#leaveFutureOut();
  }

  /** Which dates are in sight. */
  #tell(u) {
    const { min, max } = u.scales.x;
    const seen = this.#data.days.filter((day) => day * DAY >= min && day * DAY <= max);
    this.#host.dataset.shown = seen.length ? `${dayOf(seen[0])} to ${dayOf(seen.at(-1))}` : "";
  }

  /** No marks beside the volumes. */
  #mark(u, mark) {
    const { min, max } = u.scales.y;
    if (mark < min + (max - min) * (ROOM_BELOW - 0.04)) return "";
    const told = Math.abs(mark) >= 10000 ? Intl.NumberFormat("en", { notation: "compact" }).format(mark) : String(+mark.toPrecision(6));
    return this.#view === "return" ? `${told} %` : told;
  }

  #dots(u, color, inside) {
    const { ctx } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    this.#names.forEach((name, at) => {
      for (const one of this.#data.corrections[name] ?? []) {
        const x = one.day * DAY;
        const index = this.#data.days.indexOf(one.day);
        const value = u.data[at + 1][index];
        if (index < 0 || value === null || x < u.scales.x.min || x > u.scales.x.max) continue;
        ctx.beginPath();
        ctx.arc(u.valToPos(x, "x", true), u.valToPos(value, "y", true), 3.5 * ratio, 0, 2 * Math.PI);
        ctx.fillStyle = inside;
        ctx.strokeStyle = color;
        ctx.lineWidth = 2 * ratio;
        ctx.fill();
        ctx.stroke();
      }
    });
    ctx.restore();
  }

  #selected(u) {
    const { left, width } = u.select;
    if (width < 5) return;
    const [min, max] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#rescale(min, max);
    this.#on.zoomed();
  }

  #clicks(u) {
    let down = null;
    u.over.addEventListener("mousedown", (event) => { down = event.clientX; });
    u.over.addEventListener("click", (event) => {
      if (down !== null && Math.abs(event.clientX - down) > 4) return; // the end of a drag
      this.#pick(u.cursor.idx, u.cursor.top);
    });
    u.over.addEventListener("mouseleave", () => this.#on.hover(null));
  }

  /** The line that is nearest at this date. */
  #pick(at, top) {
    if (at === null || at === undefined) return;
    const u = this.#plot;
    const near = this.#names
      .map((name, number) => ({ name, value: u.data[number + 1][at] }))
      .filter(({ value }) => value !== null && value !== undefined)
      .map(({ name, value }) => ({ name, far: Math.abs(u.valToPos(value, "y") - top) }))
      .sort((a, b) => a.far - b.far)[0];
    if (near) this.#on.pick(near.name, this.#data.days[at]);
  }

  #keys(event) {
    const u = this.#plot;
    if (!u || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      const at = Math.min(Math.max((u.cursor.idx ?? this.#data.days.length) + step * (event.shiftKey ? 20 : 1), 0), this.#data.days.length - 1);
      const value = u.data[1][at];
      u.setCursor({ left: u.valToPos(u.data[0][at], "x"), top: value === null ? 10 : u.valToPos(value, "y") });
    } else if (event.key === "Enter") {
      this.#pick(u.cursor.idx, u.cursor.top);
    } else if ("+-=".includes(event.key)) {
      const { min, max } = u.scales.x;
      const [middle, half] = [(min + max) / 2, ((max - min) / 2) * (event.key === "-" ? 1.5 : 1 / 1.5)];
      const x = u.data[0];
      this.#rescale(Math.max(middle - half, x[0]), Math.min(middle + half, x.at(-1)));
      this.#on.zoomed();
    }
  }
}
