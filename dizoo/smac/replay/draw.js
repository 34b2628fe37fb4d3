// Reading a game and drawing its field. Coordinates: cells, origin bottom left; frames as in the recording.
const ALLY = "#4ea1ff", ENEMY = "#ff6b57", DIM = "#9aa4b2", GOLD = "#ffd166";
const SHAPES = ["circle", "square", "triangle", "diamond", "hexagon", "star", "pentagon"];

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  let at = 4 + length;
  for (const entry of header.arrays) {
    const count = entry.shape.reduce((a, b) => a * b, 1);
    const raw = entry.dtype === "<i2" ? new Int16Array(buffer, at, count) : new Uint8Array(buffer, at, count);
    arrays[entry.name] = entry.scale ? Float32Array.from(raw, (v) => v * entry.scale) : raw;
    at += Math.ceil((count * raw.BYTES_PER_ELEMENT) / 4) * 4;
  }
  return { header, arrays };
}

class Game {
  constructor({ header, arrays }) {
    Object.assign(this, header, { arrays });
    this.frames = header.outcome.steps * header.frames_per_step + 1;
    this.steps = header.outcome.steps;
    this.n = header.units.length;
    this.agents = header.units.map((u, i) => (u.ally ? [u.index, i] : null)).filter(Boolean);
    this.agentUnit = []; for (const [k, i] of this.agents) this.agentUnit[k] = i;
    this.types = [...new Set(header.units.map((u) => u.type))];
    this.shape = header.units.map((u) => (u.healer ? "plus" : SHAPES[this.types.indexOf(u.type) % SHAPES.length]));
    this.diedAt = new Array(this.n).fill(Infinity);
    for (const [frame, unit] of header.deaths) this.diedAt[unit] = frame;
    this.totals = this.sum(arrays.reward);
  }
  sum(values) { let s = 0; return Float32Array.from(values, (v) => (s += v)); }
  at(name, frame, unit) { return this.arrays[name][frame * this.n + unit]; }
  frame(time) { return Math.min(this.frames - 1, Math.max(0, time * this.frames_per_step)); }
  step(time) { return Math.min(this.steps - 1, Math.floor(time + 1e-6)); }
  alive(frame, unit) { return this.at("in_play", frame, unit) > 0; }
  place(time, unit) {  // between two frames a unit is between its two places
    const f = this.frame(time), a = Math.floor(f), b = Math.min(a + 1, this.frames - 1), s = this.alive(b, unit) ? f - a : 0;
    const mix = (name) => this.at(name, a, unit) * (1 - s) + this.at(name, b, unit) * s;
    return [mix("x"), mix("y")];
  }
}

function outline(ctx, shape, x, y, r, angle) {
  const ring = (n, turn, inner) => {
    for (let i = 0; i < n; i++) {
      const d = inner && i % 2 ? r * inner : r, a = turn + (i * 2 * Math.PI) / n;
      ctx.lineTo(x + d * Math.cos(a), y + d * Math.sin(a));
    }
  };
  ctx.beginPath();
  if (shape === "circle") ctx.arc(x, y, r * 0.95, 0, 7);
  else if (shape === "plus") {
    const w = r * 0.42, l = r * 1.05;
    for (const [dx, dy] of [[-w, -l], [w, -l], [w, -w], [l, -w], [l, w], [w, w], [w, l], [-w, l], [-w, w], [-l, w],
      [-l, -w], [-w, -w]]) ctx.lineTo(x + dx, y + dy);
  } else if (shape === "square") ring(4, Math.PI / 4);
  else if (shape === "triangle") ring(3, angle);
  else if (shape === "diamond") ring(4, 0);
  else if (shape === "pentagon") ring(5, -Math.PI / 2);
  else if (shape === "hexagon") ring(6, 0);
  else ring(10, -Math.PI / 2, 0.5);
  ctx.closePath();
}

function fitCanvas(canvas, height) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth || 600;
  canvas.style.height = `${height}px`;
  const w = Math.round(width * scale), h = Math.round(height * scale);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return [ctx, width];
}

class Field {
  constructor(game, canvas) {
    this.game = game; this.canvas = canvas; this.whole = false;
  }
  around() {  // what else a window has to show of a card: what stands above the field, legend, charts, controls
    const box = (element) => element.getBoundingClientRect(), stage = this.canvas.parentElement;
    const above = box(this.canvas).top - box(this.canvas.closest(".card")).top;
    const below = box(stage.lastElementChild).bottom - box(this.canvas.nextElementSibling).top;
    return above + below + document.getElementById("controls").offsetHeight + 50;
  }
  frameOf(width, limit) {  // the part of the map that is shown, and its scale
    const { map, field } = this.game;
    let [x0, y0, x1, y1] = this.whole ? [0, 0, map.width, map.height] : field;
    const scale = Math.min(width / (x1 - x0), limit / (y1 - y0), 60);
    const height = Math.max(180, Math.min(limit, map.height * scale));
    const slack = width / scale - (x1 - x0), rise = height / scale - (y1 - y0);  // fill the stage with more of the map
    const inside = (low, size, length) => (size > length ? (length - size) / 2 : Math.max(0, Math.min(length - size, low)));
    x0 = inside(x0 - slack / 2, x1 - x0 + slack, map.width);
    y0 = inside(y0 - rise / 2, y1 - y0 + rise, map.height);
    return { x0, y0, scale, height };
  }
  draw(time, frame, chosen, limit) {
    const game = this.game, view = this.frameOf(this.canvas.clientWidth || 600, limit);
    const [ctx, width] = fitCanvas(this.canvas, view.height);
    this.view = view;
    this.px = (x) => (x - view.x0) * view.scale;
    this.py = (y) => view.height - (y - view.y0) * view.scale;
    this.terrain(ctx, width);
    this.frame = frame;
    this.spots = [];
    for (let u = 0; u < game.n; u++) {
      const [x, y] = game.place(time, u);
      this.spots.push({ x: this.px(x), y: this.py(y), r: Math.max(8, Math.max(game.units[u].radius, 0.38) * view.scale) });
    }
    for (let u = 0; u < game.n; u++) if (!game.alive(frame, u)) this.remains(ctx, u, frame);
    if (chosen !== null && game.alive(frame, chosen)) this.reach(ctx, chosen);
    for (let u = 0; u < game.n; u++) this.shot(ctx, u, frame);
    for (let u = 0; u < game.n; u++) if (game.alive(frame, u)) this.unit(ctx, u, frame, u === chosen);
    for (let u = 0; u < game.n; u++) if (game.alive(frame, u)) this.number(ctx, u);
    if (frame === game.frames - 1) this.ending(ctx, width);
  }
  terrain(ctx, width) {
    const { map } = this.game, { scale, height } = this.view;
    ctx.fillStyle = "#0d1013"; ctx.fillRect(0, 0, width, height);
    for (let row = 0; row < map.height; row++) for (let x = 0; x < map.width; x++) {
      const y = map.height - 1 - row, open = map.terrain[row][x] === ".";
      ctx.fillStyle = open ? ((x + y) % 2 ? "#232a32" : "#20262e") : "#3d4450";
      const left = Math.floor(this.px(x)), top = Math.floor(this.py(y + 1));
      ctx.fillRect(left, top, Math.floor(this.px(x + 1)) - left, Math.floor(this.py(y)) - top);
    }
    const [ax, ay] = map.attack_point;
    ctx.strokeStyle = "#55606e"; ctx.lineWidth = 1.5; ctx.beginPath();
    ctx.arc(this.px(ax), this.py(ay), scale * 0.3, 0, 7); ctx.stroke();
  }
  remains(ctx, u, frame) {  // a cross where a unit fell, bright at first; a ring where one blew up
    const age = (frame - this.game.diedAt[u]) / this.game.frames_per_step, { x, y, r } = this.spots[u];
    if (!(age >= 0)) return;
    const unit = this.game.units[u], strong = Math.max(0, 1 - age / 2);
    ctx.globalAlpha = 0.3 + 0.7 * strong; ctx.strokeStyle = unit.ally ? ALLY : ENEMY; ctx.lineWidth = 2 + 2 * strong;
    const d = r * 0.55;
    ctx.beginPath(); ctx.moveTo(x - d, y - d); ctx.lineTo(x + d, y + d); ctx.moveTo(x + d, y - d); ctx.lineTo(x - d, y + d);
    ctx.stroke();
    if (strong > 0) {
      ctx.beginPath(); ctx.arc(x, y, unit.blast > 0 ? unit.blast * this.view.scale : r * (1 + age), 0, 7);
      ctx.globalAlpha = 0.6 * strong; ctx.stroke();
    }
    ctx.globalAlpha = 1;
  }
  shot(ctx, u, frame) {  // a line for a quarter of a second after the weapon was used
    const game = this.game, hold = Math.max(1, game.frames_per_step / 2);
    for (let back = 0; back < hold && frame - back >= 0; back++) {
      const victim = game.at("victim", frame - back, u);
      if (victim < 0 || victim === u) continue;
      const a = this.spots[u], b = this.spots[victim], unit = game.units[u];
      ctx.globalAlpha = 0.9 * (1 - back / hold) + 0.1;
      ctx.strokeStyle = unit.healer ? "#5be08a" : unit.ally ? "#9ccbff" : "#ffab9f";
      ctx.lineWidth = unit.healer ? 3 : 2;
      ctx.beginPath(); ctx.moveTo(a.x, a.y); ctx.lineTo(b.x, b.y); ctx.stroke();
      ctx.beginPath(); ctx.arc(b.x, b.y, 4, 0, 7); ctx.fillStyle = ctx.strokeStyle; ctx.fill();
      ctx.globalAlpha = 1;
      return;
    }
  }
  reach(ctx, u) {
    const unit = this.game.units[u], { x, y } = this.spots[u];
    ctx.strokeStyle = GOLD; ctx.globalAlpha = 0.5; ctx.setLineDash([5, 5]); ctx.lineWidth = 1;
    ctx.beginPath(); ctx.arc(x, y, (unit.range + unit.radius) * this.view.scale, 0, 7); ctx.stroke();
    ctx.setLineDash([]); ctx.globalAlpha = 1;
  }
  unit(ctx, u, frame, isChosen) {
    const game = this.game, unit = game.units[u], { x, y, r } = this.spots[u], angle = -game.at("facing", frame, u);
    const colour = unit.ally ? ALLY : ENEMY;
    ctx.fillStyle = colour; ctx.strokeStyle = isChosen ? GOLD : "#0d1013"; ctx.lineWidth = isChosen ? 3 : 1.5;
    outline(ctx, game.shape[u], x, y, r, angle); ctx.fill(); ctx.stroke();
    ctx.fillStyle = "#fff"; ctx.beginPath();  // the nose shows where it looks
    for (const [d, turn] of [[r * 1.35, 0], [r * 0.95, 0.45], [r * 0.95, -0.45]]) {
      ctx.lineTo(x + d * Math.cos(angle + turn), y + d * Math.sin(angle + turn));
    }
    ctx.fill();
    const bars = [[game.at("hp", frame, u) / unit.hp, null]];
    if (unit.shield > 0) bars.unshift([game.at("shield", frame, u) / unit.shield, "#8fd3ff"]);
    if (unit.energy > 0) bars.push([game.at("energy", frame, u) / unit.energy, "#c58bff"]);
    bars.forEach(([share, own], i) => {
      const w = Math.max(18, r * 2.1), top = y - r * 1.2 - 5 * (bars.length - i) - 2;
      ctx.fillStyle = "#0d1013"; ctx.fillRect(x - w / 2 - 1, top - 1, w + 2, 5);
      ctx.fillStyle = own || (share > 0.6 ? "#5be08a" : share > 0.3 ? "#ffd166" : "#ff5050");
      ctx.fillRect(x - w / 2, top, w * Math.max(0, Math.min(1, share)), 3);
    });
  }
  number(ctx, u) {  // above all bodies and bars, white with a dark rim: readable where units stand close
    const { x, y, r } = this.spots[u], text = String(this.game.units[u].index);
    ctx.font = `bold ${Math.max(11, Math.round(r * 0.95))}px system-ui, sans-serif`;
    ctx.textAlign = "center"; ctx.textBaseline = "middle"; ctx.lineJoin = "round"; ctx.lineWidth = 2;
    ctx.strokeStyle = "#0d1013"; ctx.strokeText(text, x, y + 0.5);
    ctx.fillStyle = "#fff"; ctx.fillText(text, x, y + 0.5);
  }
  ending(ctx, width) {
    const text = this.game.verdict.toUpperCase();
    ctx.font = "bold 30px system-ui, sans-serif"; ctx.textAlign = "center"; ctx.textBaseline = "top";
    ctx.lineWidth = 6; ctx.strokeStyle = "#0d1013"; ctx.strokeText(text, width / 2, 12);
    ctx.fillStyle = this.game.outcome.won ? ALLY : ENEMY; ctx.fillText(text, width / 2, 12);
  }
  pick(x, y) {  // the living unit nearest to a click
    let best = null, least = Infinity;
    this.spots.forEach((spot, u) => {
      const d = Math.hypot(spot.x - x, spot.y - y);
      if (this.game.alive(this.frame, u) && d < Math.max(spot.r + 8, 14) && d < least) { best = u; least = d; }
    });
    return best;
  }
}
