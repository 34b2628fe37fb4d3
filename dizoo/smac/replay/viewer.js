// The page: one card a game, one clock for all of them.
class Card {
  constructor(game, parent, seek) {
    Object.assign(this, { game, chosen: null, seek, shown: "" });
    const card = (this.element = make("section", parent, "card")), title = make("h1", card);
    make("span", title, "", `${game.map.name}: `);
    make("span", title, game.outcome.won ? "won" : "lost", game.verdict);
    make("p", card, "story", game.story);
    const facts = Object.entries(game.info).map(([name, text]) => `${name} ${text}`);
    make("p", card, "info", [game.source, `rules ${game.rules}`, ...facts].join(" \u00b7 "));
    this.teams = make("div", card, "teams");
    const body = make("div", card, "body"), stage = make("div", body, "stage");
    this.side = make("div", body, "side");
    this.field = new Field(game, make("canvas", stage, "field"));
    this.legend(make("div", stage, "legend"));
    this.charts = this.makeCharts(make("div", stage, "charts"));
    this.field.canvas.addEventListener("click", (e) => this.choose(this.field.pick(e.offsetX, e.offsetY)));
    for (const { canvas } of this.charts) {
      const move = (e) => { if (e.buttons & 1) this.seek((e.offsetX / canvas.clientWidth) * game.steps); };
      canvas.addEventListener("pointerdown", move); canvas.addEventListener("pointermove", move);
    }
  }
  makeCharts(stage) {
    const { game } = this, { strength, reward, q_tot } = game.arrays, percent = (v) => `${Math.round(v * 100)}%`;
    const side = (i, colour, name) => ({ name, colour, text: percent, values: strength.filter((_, k) => k % 2 === i) });
    const charts = [new Chart(game, stage, "team health", [side(0, ALLY, "allies"), side(1, ENEMY, "enemies")], [0, 1])];
    charts.push(new Chart(game, stage, "reward", [{ name: "this step", values: reward, colour: GOLD, bars: true }]));
    charts.push(new Chart(game, stage, "return so far", [{ name: "", values: game.totals, colour: GOLD }]));
    if (q_tot) charts.push(new Chart(game, stage, "team value", [{ name: "q_tot", values: q_tot, colour: "#c58bff" }]));
    return charts;
  }
  legend(parent) {
    const { game } = this;
    for (const ally of [true, false]) for (const type of new Set(game.units.filter((u) => u.ally === ally).map((u) => u.type))) {
      const u = game.units.findIndex((v) => v.ally === ally && v.type === type), item = make("span", parent);
      const canvas = make("canvas", item); canvas.width = canvas.height = 32;
      const ctx = canvas.getContext("2d"); ctx.fillStyle = ally ? ALLY : ENEMY;
      outline(ctx, game.shape[u], 16, 16, 13, 0); ctx.fill();
      const n = game.units.filter((v) => v.ally === ally && v.type === type).length;
      item.append(`${n} ${type.toLowerCase().replaceAll("_", " ")}`);
    }
    this.note = make("a", parent, "note");
    this.note.addEventListener("click", () => this.side.scrollIntoView({ behavior: "smooth" }));
  }
  choose(unit) { this.chosen = unit; this.shown = ""; viewer.draw(); }
  draw(time) {  // all but the field, whose height follows from the rest
    this.time = Math.min(time, this.game.steps);
    this.frame = Math.floor(this.game.frame(this.time) + 1e-6);
    for (const chart of this.charts) chart.draw(this.time);
    this.score();
    const key = `${this.chosen} ${this.game.step(this.time)} ${this.chosen === null ? "" : this.frame}`;
    if (key !== this.shown) { this.shown = key; this.describe(this.time); }
    if (this.heat) this.heat.draw(this.time);
  }
  drawField(limit) { this.field.draw(this.time, this.frame, this.chosen, limit); }
  score() {
    const { game } = this, frame = this.frame;
    this.teams.replaceChildren();
    [[true, "allies", 0], [false, "enemies", 1]].forEach(([ally, name, i]) => {
      const members = game.units.map((u, k) => k).filter((k) => game.units[k].ally === ally);
      const alive = members.filter((k) => game.alive(frame, k)).length, share = game.arrays.strength[frame * 2 + i];
      const team = make("div", this.teams, `team ${ally ? "ally" : "enemy"}`);
      make("b", team, "", `${name} ${alive}/${members.length}`); team.append(`  health ${Math.round(share * 100)}%`);
      make("i", make("div", team, "bar")).style.width = `${share * 100}%`;
    });
  }
  describe(time) {
    this.side.replaceChildren(); this.heat = null;
    this.note.textContent = this.chosen === null ? "" : `${this.game.names[this.chosen]} below \u2193`;
    if (this.chosen === null) this.events(); else this.unit(this.chosen, this.game.step(time));
  }
  events() {
    const { game, side } = this, now = this.frame;
    make("h2", side, "", "What happened");
    const list = make("div", side, "events");
    for (const [frame, unit] of game.deaths) {
      const ally = game.units[unit].ally, step = frame / game.frames_per_step;
      const line = make("a", list, frame <= now ? "past" : ""), name = make("span", line, "", `${game.names[unit]} died`);
      line.prepend(`${(step / 2).toFixed(1)} s  `); name.style.color = ally ? ALLY : ENEMY;
      line.addEventListener("click", () => this.seek(Math.max(0, step - 0.5)));
    }
    make("p", side, "story", `${(game.steps / 2).toFixed(1)} s  ${game.verdict}`);
    make("p", side, "info", "Click a unit to see what it sees and what it thinks of its actions.");
    make("p", side, "info", "In the field: a unit's number and, white, where it looks; bars of health (green to red), shield "
      + "(light blue) and energy (violet); a line is a shot, a green one healing, a cross a fallen unit.");
  }
  unit(u, t) {
    const { game, side } = this, unit = game.units[u], frame = this.frame, agent = unit.ally ? unit.index : null;
    const value = (name) => +game.at(name, frame, u).toFixed(2), target = game.at("target", frame, u);
    make("h2", side, "", game.names[u] + (game.alive(frame, u) ? "" : ", dead"));
    const facts = [`health ${value("hp")} of ${unit.hp}`];
    if (unit.shield) facts.push(`shield ${value("shield")} of ${unit.shield}`);
    if (unit.energy) facts.push(`energy ${value("energy")} of ${unit.energy}`);
    facts.push(`cooldown ${value("cooldown")} s`);
    if (agent === null && target >= 0 && target < game.n) facts.push(`target ${game.names[target]}`);
    make("p", side, "story", facts.join(" \u00b7 "));
    if (agent === null) { make("p", side, "info", "Enemies follow the rules' script; only agents have observations."); return; }
    const k = t * game.agents.length + agent;
    make("p", side, "", `step ${t}: ${game.actions[agent][game.arrays.action[k]]}`);
    if (game.arrays.weight) make("p", side, "info", `weight in the team's value: dq_tot/dq = ${game.arrays.weight[k].toFixed(3)}`);
    bars(side, game, agent, t);
    if (game.arrays.q) {
      make("p", side, "info", "q over time, one row per action as above; white: what it did");
      this.heat = new HeatMap(game, side, agent);
    }
    const more = make("details", side); more.open = viewer.details;
    more.addEventListener("toggle", () => { viewer.details = more.open; });
    make("summary", more, "", "observation before this step");
    observation(more, game, agent, t);
  }
}

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

const viewer = {
  cards: [], time: 0, steps: 1, playing: false, speed: 1, details: true, last: 0,
  byId: (id) => document.getElementById(id),
  seek(time) { this.time = Math.max(0, Math.min(this.steps, time)); this.draw(); },
  play(on) {
    this.playing = on;
    if (on && this.time >= this.steps) this.time = 0;
    this.byId("play").textContent = on ? "\u275a\u275a" : "\u25b6";
    this.last = performance.now();
    if (on) requestAnimationFrame((now) => this.tick(now));
  },
  tick(now) {
    if (!this.playing) return;
    this.time = Math.min(this.steps, this.time + (Math.max(0, now - this.last) / 500) * this.speed);  // a step is half a second
    this.last = now;
    this.draw();
    if (this.time >= this.steps) this.play(false); else requestAnimationFrame((later) => this.tick(later));
  },
  draw() {
    for (const card of this.cards) card.draw(this.time);
    const limit = Math.max(220, window.innerHeight - Math.max(...this.cards.map((card) => card.field.around())));
    for (const card of this.cards) card.drawField(limit);  // of one height, so that games of one map are of one scale
    this.byId("scrub").value = this.time;
    this.byId("clock").textContent = `${(this.time / 2).toFixed(1)} s, step ${Math.floor(this.time + 1e-6)} of ${this.steps}`;
  },
  move(steps) { this.play(false); this.seek(Math.round((this.time + steps) * 8) / 8); },
  faster(by) {
    const at = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(this.speed) + by));
    this.speed = SPEEDS[at]; this.byId("speed").value = String(this.speed);
  },
  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = e.shiftKey ? 1 / 8 : 1;
    const acts = {
      " ": () => this.play(!this.playing), ArrowLeft: () => this.move(-step), ArrowRight: () => this.move(step),
      Home: () => this.seek(0), End: () => this.seek(this.steps), "+": () => this.faster(1), "=": () => this.faster(1),
      "-": () => this.faster(-1), Escape: () => this.cards.forEach((c) => c.choose(null)),
      m: () => { for (const c of this.cards) c.field.whole = !c.field.whole; this.draw(); },
    };
    if (acts[e.key]) { e.preventDefault(); acts[e.key](); }
  },
  async start() {
    const data = [...document.querySelectorAll("script.game")], parent = this.byId("games");
    const games = await Promise.all(data.map(async (d) => new Game(await unpack(d.textContent))));
    parent.className = games.length > 1 ? "many" : "one";
    parent.style.setProperty("--columns", Math.ceil(Math.sqrt(games.length)));
    this.cards = games.map((g) => new Card(g, parent, (t) => { this.play(false); this.seek(t); }));
    this.steps = Math.max(...games.map((g) => g.steps));
    const scrub = this.byId("scrub");
    scrub.max = this.steps;
    scrub.addEventListener("input", () => { this.play(false); this.seek(+scrub.value); });
    this.byId("play").addEventListener("click", () => this.play(!this.playing));
    this.byId("back").addEventListener("click", () => this.move(-1));
    this.byId("forth").addEventListener("click", () => this.move(1));
    this.byId("speed").addEventListener("change", (e) => { this.speed = +e.target.value; e.target.blur(); });
    for (const id of ["play", "back", "forth"]) this.byId(id).addEventListener("click", (e) => e.target.blur());
    document.addEventListener("keydown", (e) => this.key(e), true);
    window.addEventListener("resize", () => this.draw());
    this.seek(0);
    document.body.dataset.ready = "yes";
  },
};
viewer.start().catch((error) => {
  make("p", document.body, "story", `This page could not be shown: ${error.message}. A current browser is needed.`);
  throw error;
});
