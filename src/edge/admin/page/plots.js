// Small plots of the last two minutes: a value and its line, whose places are those of the time.

import { at, element } from "./dom.js";
import { GAP_MS } from "./figures.js";

/** How far back a plot goes, in milliseconds. */
const SPAN_MS = 120_000;
const SVG = "http://www.w3.org/2000/svg";
/** The size of the drawing, in units of its own; half a line's width is left above and below. */
const WIDTH = 100;
const HEIGHT = 40;
const MARGIN = 1;

/** Keeps a value with its time, and forgets those too old to be shown, or of a clock that was put back. */
export function remember(values, now, value) {
  return [...values.filter(({ at }) => at > now - SPAN_MS && at < now), { at: now, value }];
}

/** Returns the highest value that is known. */
export const peak = (values) => Math.max(0, ...values.map(({ value }) => value ?? 0));

/** Returns the parts of a line: it is broken where a value is not known, and where nobody looked. */
export function segments(values) {
  const parts = [];
  let before;
  for (const each of values) {
    if (each.value !== undefined) {
      if (before?.value === undefined || each.at - before.at > GAP_MS) parts.push([]);
      parts.at(-1).push(each);
    }
    before = each;
  }
  return parts;
}

/** Returns the paths of the line and of the area under it, for a time and a scale that ends at `top`. */
export function paths(values, now, top) {
  const x = ({ at }) => (WIDTH - ((now - at) / SPAN_MS) * WIDTH).toFixed(2);
  const y = ({ value }) => (HEIGHT - MARGIN - (value / top) * (HEIGHT - 2 * MARGIN)).toFixed(2);
  const parts = segments(values).map((part) => ({
    line: part.map((each) => `${x(each)} ${y(each)}`).join("L"), from: x(part[0]), to: x(part.at(-1)),
  }));
  return {
    line: parts.map(({ line }) => `M${line}`).join(""),
    area: parts.map(({ line, from, to }) => `M${from} ${HEIGHT}L${line}L${to} ${HEIGHT}Z`).join(""),
  };
}

/** Writes a value as it is read at a glance. */
export function brief(value) {
  if (value === undefined) return "–";
  if (value >= 1e6) return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
  return value.toLocaleString("en", { maximumFractionDigits: value >= 100 ? 0 : value >= 10 ? 1 : 2 });
}

const plots = new Map();

/** Takes what is plotted at a time. Nothing is drawn before `drawPlots`. */
export function plot(now, figures) {
  const titles = new Set();
  for (const { group, title, value } of figures) {
    titles.add(title);
    if (!plots.has(title)) plots.set(title, newPlot(group, title));
    const kept = plots.get(title);
    kept.values = remember(kept.values, now, value);
  }
  for (const [title, { figure }] of plots) {
    if (titles.has(title)) continue;
    figure.remove();
    plots.delete(title);
  }
}

/** Draws what was taken, up to a time. */
export function drawPlots(now) {
  for (const [title, { values, number, scale, svg, line, area }] of plots) {
    const highest = peak(values);
    const top = Math.max(1, highest);
    const drawn = paths(values, now, top);
    number.textContent = brief(values.at(-1)?.value);
    scale.textContent = brief(top);
    line.setAttribute("d", drawn.line);
    area.setAttribute("d", drawn.area);
    svg.setAttribute("aria-label", `${title}: ${number.textContent}; highest in two minutes: ${brief(highest)}`);
  }
}

function newPlot(group, title) {
  const [svg, area, line] = ["svg", "path", "path"].map((name) => document.createElementNS(SVG, name));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  area.setAttribute("class", "area");
  line.setAttribute("class", "line");
  svg.append(area, line);
  const [figure, caption, name, number, scale] = [
    element("figure"), element("figcaption"), element("span", title), element("b"), element("span", "", "scale"),
  ];
  scale.setAttribute("aria-hidden", "true");
  caption.append(name, number);
  figure.append(caption, scale, svg);
  at(`plots-${group}`).append(figure);
  return { values: [], figure, number, scale, svg, line, area };
}
