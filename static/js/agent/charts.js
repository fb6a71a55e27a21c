/** A line over the last 15 minutes at most; what was not measured is a gap, not zero. */
/* global uPlot */
const WINDOW_SECONDS = 15 * 60;
const SHORTEST_SECONDS = 2 * 60;
const GAP_SECONDS = 15;
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  #element;
  #format;
  #floor;
  #steps;
  #plot = null;
  #points = [[], []];
  #scheduled = false;

  /**
   * `floor`: the scale reaches at least this far, so that noise does not look like load.
   * `steps`: what may lie between two marks of the scale.
   */
  constructor(id, { format, floor, steps }) {
    this.#element = document.getElementById(id);
    this.#format = format;
    this.#floor = floor;
    this.#steps = steps;
    new ResizeObserver(() => this.#resize()).observe(this.#element);
    DARK.addEventListener("change", () => this.#make());
    this.#make();
  }

  push(at, value) {
    const [times, values] = this.#points;
    const time = Date.parse(at) / 1000;
    const last = times.at(-1);
    if (Number.isNaN(time) || time <= last) return;
    if (time - last > GAP_SECONDS) this.#append(last + 1, null);
    this.#append(time, value ?? null);
    const stale = times.findIndex((kept) => kept > time - WINDOW_SECONDS);
    times.splice(0, stale);
    values.splice(0, stale);
    this.#schedule();
  }

  #append(time, value) {
    this.#points[0].push(time);
    this.#points[1].push(value);
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#plot.setData(this.#points);
    });
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#element;
    if (width && height) this.#plot.setSize({ width, height });
  }

  #make() {
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(), this.#points, this.#element);
    this.#resize();
  }

  #options() {
    const style = getComputedStyle(this.#element);
    const grid = { stroke: style.borderTopColor, width: 1 };
    const axis = { stroke: style.caretColor, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const line = style.color;
    return {
      width: this.#element.clientWidth || 300,
      height: this.#element.clientHeight || 120,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 8, 0, 0],
      scales: { x: { range: recent }, y: { range: (_plot, _least, most) => [0, Math.max(this.#floor, (most ?? 0) * 1.2)] } },
      axes: [
        { ...axis, size: 26, space: 70, values: (_plot, ticks) => ticks.map(clock) },
        { ...axis, size: 58, space: 30, incrs: this.#steps, values: (_plot, ticks) => ticks.map(this.#format) },
      ],
      series: [{}, { stroke: line, width: 1.6, fill: style.backgroundColor, points: { show: false }, spanGaps: false }],
    };
  }
}

/** From the first sample on, two minutes at least: a new page shows a line and not a dot. */
function recent(_plot, first, last) {
  const end = last ?? Date.now() / 1000;
  const start = Math.min(first ?? end, end - SHORTEST_SECONDS);
  return [Math.max(start, end - WINDOW_SECONDS), end];
}

function clock(seconds) {
  const second = seconds % 60 ? "2-digit" : undefined;
  return new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second });
}
