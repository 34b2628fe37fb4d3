// Win rates of a map, chosen from a list: every seed a thin line, their mean a thick one; values under the pointer.
"use strict";
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a8a8a"];
const WIDTH = 900, HEIGHT = 360, LEFT = 40, BOTTOM = 28;

function at(line, step) {  // a seed's win rate at a step, between its evaluations
  const [steps, won] = line, next = steps.findIndex((s) => s >= step);
  if (next < 0) return undefined;
  if (next === 0) return won[0];
  const share = (step - steps[next - 1]) / (steps[next] - steps[next - 1]);
  return won[next - 1] + share * (won[next] - won[next - 1]);
}

function mean(lines, step) {
  const values = lines.map((line) => at(line, step)).filter((v) => v !== undefined);
  return values.length === lines.length ? values.reduce((a, b) => a + b, 0) / values.length : undefined;
}

function short(steps) {
  return steps >= 1e6 ? `${(steps / 1e6).toFixed(2)}M` : `${Math.round(steps / 1e3)}k`;
}

function draw(box, lines, hidden) {
  const names = Object.keys(lines), shown = names.filter((name) => !hidden.has(name));
  const last = Math.max(1, ...names.flatMap((name) => lines[name].map(([steps]) => steps.at(-1))));
  const x = (step) => LEFT + (step / last) * (WIDTH - LEFT - 10), y = (won) => 8 + (1 - won) * (HEIGHT - BOTTOM - 8);
  const path = (points) => points.map(([step, won], i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(won).toFixed(1)}`).join("");
  const parts = [0, 0.25, 0.5, 0.75, 1].map((v) =>
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - 10}" y1="${y(v)}" y2="${y(v)}"/><text x="4" y="${y(v) + 4}">${v * 100} %</text>` +
    `<text x="${x(v * last)}" y="${HEIGHT - 8}" text-anchor="${v === 1 ? "end" : "middle"}">${short(v * last)}</text>`);
  for (const name of shown) {
    const colour = COLOURS[names.indexOf(name) % COLOURS.length];
    const grid = Array.from({ length: 120 }, (_, i) => (i / 119) * last);
    const middle = grid.map((s) => [s, mean(lines[name], s)]).filter(([, v]) => v !== undefined);
    for (const [steps, won] of lines[name])
      parts.push(`<path d="${path(steps.map((s, i) => [s, won[i]]))}" fill="none" stroke="${colour}" stroke-opacity=".25"/>`);
    parts.push(`<path d="${path(middle)}" fill="none" stroke="${colour}" stroke-width="2.5"/>`);
  }
  box.querySelector("svg").innerHTML = parts.join("");
  return (event) => {
    const area = box.querySelector("svg").getBoundingClientRect();
    const step = Math.max(0, (((event.clientX - area.left) / area.width) * WIDTH - LEFT) / (WIDTH - LEFT - 10)) * last;
    const values = shown.map((name) => [name, mean(lines[name], step)]).filter(([, v]) => v !== undefined);
    box.querySelector("output").textContent = `${short(step)}: ` + values.map(([n, v]) => `${n} ${(v * 100).toFixed(0)} %`).join(", ");
  };
}

async function show(box) {
  const data = await (await fetch(box.dataset.source)).json(), hidden = new Set();
  box.innerHTML = `<select aria-label="map"></select><div></div><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="curves"></svg><output></output>`;
  const [select, legend, svg] = [...box.children];
  select.append(...Object.keys(data).map((name) => new Option(name, name, false, name === "MMM (smaclite)")));
  const update = () => {
    const lines = data[select.value];
    legend.replaceChildren(...Object.keys(lines).map((name, i) => {
      const button = document.createElement("button");
      button.textContent = `● ${name} (${lines[name].length} seed${lines[name].length > 1 ? "s" : ""})`;
      button.style.color = COLOURS[i % COLOURS.length];
      button.className = hidden.has(name) ? "off" : "";
      button.onclick = () => { hidden.has(name) ? hidden.delete(name) : hidden.add(name); update(); };
      return button;
    }));
    svg.onpointermove = draw(box, lines, hidden);
  };
  select.onchange = update;
  update();
}

const box = document.getElementById("curves");
if (box) show(box);
