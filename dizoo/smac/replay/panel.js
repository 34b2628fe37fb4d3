// What stands beside and under the field: charts, the chosen unit's view, the list of deaths. Names enter as text only.
function make(tag, parent, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

class Chart {
  // lines: [{name, values, colour, bars}], values one per step or per frame over the whole game
  constructor(game, parent, title, lines, range) {
    Object.assign(this, { game, title, lines });
    this.canvas = make("canvas", parent, "chart");
    const all = lines.flatMap((l) => [l.values.reduce((a, b) => Math.min(a, b)), l.values.reduce((a, b) => Math.max(a, b))]);
    [this.low, this.high] = range || [Math.min(0, ...all), Math.max(...all)];
    if (this.high - this.low < 1e-9) this.high = this.low + 1;
  }
  draw(time) {
    const height = window.innerHeight < 900 ? 54 : 74, [ctx, width] = fitCanvas(this.canvas, height), top = 18, bottom = height - 4;
    const x = (share) => share * width, y = (v) => bottom - ((v - this.low) / (this.high - this.low)) * (bottom - top);
    ctx.fillStyle = "#14181e"; ctx.fillRect(0, 0, width, height);
    for (const line of this.lines) {
      const n = line.values.length;
      ctx.strokeStyle = ctx.fillStyle = line.colour; ctx.lineWidth = 1.8; ctx.beginPath();
      for (let i = 0; i < n; i++) {
        const v = y(line.values[i]);
        if (line.bars) ctx.fillRect(x(i / n), Math.min(v, y(0)), Math.max(1, width / n - 1), Math.abs(v - y(0)));
        else ctx.lineTo(x(i / (n - 1 || 1)), v);
      }
      if (!line.bars) ctx.stroke();
    }
    ctx.font = "12px system-ui, sans-serif"; ctx.textBaseline = "top"; ctx.textAlign = "left";
    ctx.fillStyle = DIM; ctx.fillText(this.title, 6, 3);
    let left = 12 + ctx.measureText(this.title).width;
    for (const line of this.lines) {
      const n = line.values.length, i = Math.min(n - 1, Math.floor((time / this.game.steps) * (line.bars ? n : n - 1) + 1e-6));
      const text = `${line.name} ${line.text ? line.text(line.values[i]) : line.values[i].toFixed(2)}`;
      ctx.fillStyle = line.colour; ctx.fillText(text, left, 3); left += ctx.measureText(text).width + 12;
    }
    ctx.fillStyle = "#e8ecf1"; ctx.fillRect(Math.min(width - 1, x(time / this.game.steps)), top - 2, 1.5, bottom - top + 4);
  }
}

class HeatMap {  // the chosen agent's q of every action over time: rows actions, columns steps
  constructor(game, parent, agent) {
    Object.assign(this, { game, agent });
    this.canvas = make("canvas", parent, "heat");
    this.N = game.action_names.length;
    this.A = game.agents.length;
    this.low = Infinity; this.high = -Infinity;
    for (let t = 0; t < game.steps; t++) for (let n = 0; n < this.N; n++) if (this.open(t, n)) {
      this.low = Math.min(this.low, this.q(t, n)); this.high = Math.max(this.high, this.q(t, n));
    }
  }
  index(t, n) { return (t * this.A + this.agent) * this.N + n; }
  q(t, n) { return this.game.arrays.q[this.index(t, n)]; }
  open(t, n) { return n > 0 && this.game.arrays.action_mask[this.index(t, n)] > 0; }
  draw(time) {
    const row = 8, [ctx, width] = fitCanvas(this.canvas, this.N * row), w = width / this.game.steps;
    for (let t = 0; t < this.game.steps; t++) for (let n = 0; n < this.N; n++) {
      if (!this.open(t, n)) continue;
      const share = (this.q(t, n) - this.low) / (this.high - this.low || 1);
      ctx.fillStyle = `hsl(${230 - 190 * share} 75% ${22 + 38 * share}%)`;
      ctx.fillRect(t * w, n * row, Math.max(1, w), row);
      if (this.game.arrays.action[t * this.A + this.agent] === n) {
        ctx.fillStyle = "#fff"; ctx.fillRect(t * w, n * row + 3, Math.max(2, w), 2);
      }
    }
    ctx.fillStyle = "#e8ecf1"; ctx.fillRect((time / this.game.steps) * width, 0, 1.5, this.N * row);
  }
}

function bars(parent, game, agent, t) {  // every action: available or not, its q, the one taken
  const N = game.action_names.length, A = game.agents.length, base = (t * A + agent) * N, { q, action_mask, action } = game.arrays;
  const table = make("table", parent), head = make("tr", table);
  for (const title of q ? ["action", "q", ""] : ["action", "available"]) make("th", head, "", title);
  const open = [...Array(N).keys()].filter((n) => action_mask[base + n]);
  const values = q ? open.map((n) => q[base + n]) : [0];
  const low = Math.min(...values), high = Math.max(...values);
  for (let n = 0; n < N; n++) {
    const row = make("tr", table, (open.includes(n) ? "" : "off ") + (action[t * A + agent] === n ? "chosen" : ""));
    make("td", row, "", game.actions[agent][n]);
    if (!q) { make("td", row, "", open.includes(n) ? "yes" : "no"); continue; }
    make("td", row, "", open.includes(n) ? q[base + n].toFixed(3) : "\u2013");
    const bar = make("i", make("td", row, "q"));
    bar.style.width = open.includes(n) ? `${4 + 96 * ((q[base + n] - low) / (high - low || 1))}%` : "0";
  }
}

function observation(parent, game, agent, t) {  // "enemy3.distance" becomes row enemy3, column distance; a one-hot its name
  const O = game.obs_names.length, A = game.agents.length, base = (t * A + agent) * O, groups = new Map();
  game.obs_names.forEach((name, i) => {
    const dot = name.indexOf("."), who = dot < 0 ? name : name.slice(0, dot), what = dot < 0 ? "" : name.slice(dot + 1);
    if (!groups.has(who)) groups.set(who, new Map());
    const values = groups.get(who), value = game.arrays.obs[base + i], type = what.match(/^is_(.+)$|^type\d+$/);
    if (!type) values.set(what, value);
    else if (value || !values.has("type")) values.set("type", value ? type[1] || what : "");
  });
  let columns = "";
  const table = make("table", parent);
  for (const [who, values] of groups) {
    const names = [...values.keys()].join(" ");
    if (names !== columns) {
      const head = make("tr", table);
      for (const title of ["", ...values.keys()]) make("th", head, "", title);
      columns = names;
    }
    const row = make("tr", table, [...values.values()].every((v) => !v) ? "off" : "");
    make("td", row, "", who);
    for (const v of values.values()) make("td", row, "", typeof v === "string" ? v : String(+v.toFixed(3)));
  }
}
