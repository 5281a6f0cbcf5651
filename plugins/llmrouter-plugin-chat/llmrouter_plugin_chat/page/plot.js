// A line of what came a minute, as far back as this page has looked.
import { drawn } from "./elements.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 8, 24];
const HEIGHT = 170;
const SPAN = 300; // seconds

// Return the drawing of *points*, [seconds ago, value], oldest first, *width* units wide.
export function plot(points, width) {
  const most = ceiling(Math.max(...points.map(([, value]) => value), 0));
  const x = (ago) => LEFT + (width - LEFT - RIGHT) * (1 - ago / SPAN);
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / most);
  const svg = drawn("svg", { class: "plot", role: "img", viewBox: `0 0 ${width} ${HEIGHT}` });
  const last = points.length ? points[points.length - 1][1] : 0;
  svg.setAttribute("aria-label", `Now ${Math.round(last)} requests a minute`);
  for (const value of [0, most / 2, most]) {
    svg.append(drawn("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(words(LEFT - 8, y(value) + 4, "end", value.toLocaleString("en")));
  }
  svg.append(words(LEFT, HEIGHT - 4, "start", "5 minutes ago"));
  svg.append(words(width - RIGHT, HEIGHT - 4, "end", "now"));
  if (points.length > 1) {
    const line = points.map(([ago, value]) => `${x(ago)},${y(value)}`);
    const ground = [`${x(points.at(-1)[0])},${y(0)}`, `${x(points[0][0])},${y(0)}`];
    svg.append(drawn("polygon", { points: [...line, ...ground].join(" ") }));
    svg.append(drawn("polyline", { points: line.join(" ") }));
  }
  return svg;
}

// The next of 2, 4, 10, 20, 40, 100… that is not below *value*: half of it is a round number too.
function ceiling(value) {
  for (let ten = 1; ; ten *= 10) {
    for (const factor of [2, 4, 10]) if (factor * ten >= value) return factor * ten;
  }
}

function words(x, y, anchor, text) {
  const made = drawn("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}
