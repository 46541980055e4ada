// A line chart in SVG that is given all its points and draws them again; it knows no run.
// Text is only ever set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 10, right: 12, bottom: 24, left: 52 };
const GRID_LINES = 4;
const TICK_PIXELS = 90;
const WIDTH_MIN = 120;
const LABEL_ROOM = 24; // beyond which half a label no longer fits

function svg(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The smallest 1, 2 or 5 times a power of ten that is not below the value.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value * 0.999999);
}

export function clock(seconds) {
  const whole = Math.round(seconds);
  const pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600];

export class Chart {
  // lines: [{ name, label, of: (point) => number | null }], format: (number) => text.
  constructor(figure, { lines, format, title, filled = false }) {
    this.lines = lines;
    this.format = format;
    this.title = title;
    this.filled = filled;
    this.points = [];
    this.until = 60;
    this.nothing = "Nothing measured yet";
    this.plot = svg("svg", { class: "plot", role: "img", tabindex: "0", "aria-label": title });
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.setAttribute("aria-live", "polite");
    this.tip.hidden = true;
    this.cursor = null;
    this.pointed = null;
    this.pointerX = null;
    this.figure = figure;
    this.addLegend(figure.querySelector("figcaption"));
    figure.append(this.plot, this.tip);
    new ResizeObserver(() => this.draw()).observe(this.plot);
    // A tap moves no pointer, so a press counts as well.
    for (const name of ["pointermove", "pointerdown"]) {
      this.plot.addEventListener(name, (event) => {
        this.pointerX = event.clientX;
        this.point();
      });
    }
    for (const name of ["pointerleave", "blur"]) {
      this.plot.addEventListener(name, (event) => {
        // A finger that is lifted leaves as well, and what it pointed at is still being read.
        if (event.pointerType === "touch") return;
        this.pointerX = null;
        this.unpoint();
      });
    }
    this.plot.addEventListener("keydown", (event) => this.stepByKey(event));
  }

  // The arrows go from second to second, and Home and End to the first and the last.
  stepByKey(event) {
    const last = this.points.length - 1;
    const at = this.pointed ? this.points.findIndex((p) => p.elapsed >= this.pointed.elapsed) : last;
    const goals = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    if (last < 0 || !(event.key in goals)) return;
    event.preventDefault();
    const goal = this.points[Math.min(last, Math.max(0, goals[event.key]))];
    this.pointerX = this.plot.getBoundingClientRect().left + this.x(goal.elapsed);
    this.point();
  }

  addLegend(caption) {
    const legend = document.createElement("span");
    legend.className = "legend";
    for (const line of this.lines) {
      const item = document.createElement("span");
      const sample = svg("svg", { viewBox: "0 0 20 8", "aria-hidden": "true" });
      sample.append(svg("path", { class: `line ${line.name}`, d: "M1 4H19" }));
      item.append(sample, line.label);
      legend.append(item);
    }
    caption.append(legend);
  }

  // nothing: what stands in place of the lines when there are no points.
  show(points, until, nothing) {
    this.points = points;
    this.nothing = nothing;
    this.until = Math.max(until, 1);
    this.draw();
  }

  draw() {
    const { width, height } = this.plot.getBoundingClientRect();
    // Before the page is laid out there is no room to draw in.
    if (width < WIDTH_MIN) return;
    this.scale(width, height);
    this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.plot.replaceChildren(...this.frame(width, height), ...this.curves());
    this.plot.setAttribute("aria-label", this.description());
    if (this.pointerX !== null) this.point();
  }

  scale(width, height) {
    const values = this.points.flatMap((p) => this.lines.map((line) => line.of(p) ?? 0));
    const highest = values.reduce((a, b) => Math.max(a, b), 0);
    this.step = nice((highest || 1) / GRID_LINES);
    this.top = this.step * Math.max(1, Math.ceil((highest || 1) / this.step));
    const inner = width - MARGIN.left - MARGIN.right;
    const depth = height - MARGIN.top - MARGIN.bottom;
    this.x = (seconds) => MARGIN.left + (inner * Math.min(seconds, this.until)) / this.until;
    this.y = (value) => MARGIN.top + depth * (1 - value / this.top);
    this.inner = inner;
  }

  frame(width, height) {
    const bottom = height - MARGIN.bottom;
    const parts = [];
    const warmedUp = this.points.filter((p) => p.warmup).at(-1);
    if (warmedUp) {
      const end = this.x(warmedUp.elapsed);
      parts.push(
        svg("rect", { class: "band", x: MARGIN.left, y: MARGIN.top, width: end - MARGIN.left, height: bottom - MARGIN.top }),
      );
      if (end - MARGIN.left > 64) {
        parts.push(svg("text", { x: MARGIN.left + 6, y: MARGIN.top + 14 }, "warm-up"));
      }
    }
    // Without a measured value a scale would be made up, so only the ground line is drawn.
    const top = this.points.length ? this.top : 0;
    for (let value = 0; value <= top + this.step / 2; value += this.step) {
      const y = Math.round(this.y(value)) + 0.5;
      parts.push(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }));
      parts.push(svg("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, this.format(value)));
    }
    const room = Math.max(1, Math.floor(this.inner / TICK_PIXELS));
    const stride = TIME_STEPS.find((s) => this.until / s <= room) ?? TIME_STEPS.at(-1);
    for (let at = 0; at <= this.until; at += stride) {
      const x = this.x(at);
      const anchor = x > width - LABEL_ROOM ? "end" : "middle";
      const edge = anchor === "end" ? width - 2 : x;
      parts.push(svg("text", { x: edge, y: height - 6, "text-anchor": at ? anchor : "start" }, clock(at)));
    }
    if (!this.points.length) {
      const middle = { class: "empty", x: MARGIN.left + this.inner / 2, y: height / 2, "text-anchor": "middle" };
      parts.push(svg("text", middle, this.nothing));
    }
    return parts;
  }

  curves() {
    const parts = [];
    for (const line of [...this.lines].reverse()) {
      const path = this.path(line);
      if (!path) continue;
      if (this.filled) {
        const [first, last] = [this.points[0], this.points.at(-1)];
        const floor = this.y(0);
        const area = `${path}L${this.x(last.elapsed)} ${floor}L${this.x(first.elapsed)} ${floor}Z`;
        parts.push(svg("path", { class: `area ${line.name}`, d: area }));
      }
      parts.push(svg("path", { class: `line ${line.name}`, d: path }));
    }
    return parts;
  }

  // A second without a value, in which nothing was answered, leaves a gap.
  path(line) {
    let path = "";
    let pen = "M";
    for (const p of this.points) {
      const value = line.of(p);
      if (value === null || value === undefined) {
        pen = "M";
        continue;
      }
      path += `${pen}${this.x(p.elapsed).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = "L";
    }
    return path;
  }

  description() {
    const last = this.points.at(-1);
    if (!last) return `${this.title}: ${this.nothing}`;
    const values = this.lines.map((l) => `${l.label} ${this.text(l, last)}`);
    return `${this.title}: ${this.points.length} seconds, the last one ${values.join(", ")}`;
  }

  text(line, point) {
    const value = line.of(point);
    return value === null || value === undefined ? "–" : this.format(value);
  }

  point() {
    if (!this.points.length) return;
    const box = this.plot.getBoundingClientRect();
    const seconds = ((this.pointerX - box.left - MARGIN.left) / this.inner) * this.until;
    const nearest = this.points.reduce((a, b) =>
      Math.abs(b.elapsed - seconds) < Math.abs(a.elapsed - seconds) ? b : a,
    );
    this.unpoint();
    this.pointed = nearest;
    const x = this.x(nearest.elapsed);
    this.cursor = svg("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: box.height - MARGIN.bottom });
    this.plot.append(this.cursor);
    const rows = this.lines.map((line) => `${line.label}  ${this.text(line, nearest)}`);
    this.tip.textContent = [clock(nearest.elapsed), ...rows].join("\n");
    this.tip.hidden = false;
    const around = this.figure.getBoundingClientRect();
    const left = box.left - around.left + x;
    const flipped = x > box.width / 2;
    this.tip.style.left = flipped ? "" : `${left + 10}px`;
    this.tip.style.right = flipped ? `${around.width - left + 10}px` : "";
    this.tip.style.top = `${box.top - around.top + 14}px`;
  }

  unpoint() {
    this.cursor?.remove();
    this.cursor = null;
    this.pointed = null;
    this.tip.hidden = true;
  }
}
