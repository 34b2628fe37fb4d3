"""Every phase of a tick against a plain version of the rules, in loops over Python numbers, on random states.

The plain version below follows the text of the rules section by section and shares no code with the kernels.
"""

import math

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.maps.scenario import BEAM, BLAST, GROUND

F = np.float32
STOP, MOVE, TARGET, ATTACK_MOVE = 0, 1, 2, 3
DIRECTIONS = [(1, 0), (0, 1), (-1, 0), (0, -1)]


class V(complex):
    """A vector; Python's complex numbers do the arithmetic."""


def det(a, b):
    return a.real * b.imag - a.imag * b.real


def dot(a, b):
    return a.real * b.real + a.imag * b.imag


def norm(a):
    return a / abs(a)


class PlainBattle:
    """One battle as lists of plain objects."""

    def __init__(self, engine, units):
        scenario, types = engine.scenario, engine.lineup(0)
        self.s = scenario
        self.units = [dict(zip(units.dtype.names, u.tolist(), strict=True)) for u in units]
        for i, u in enumerate(self.units):
            u["id"], u["type"] = i, types[i]
            u["ally"] = bool(scenario.is_ally[i])
            u["pos"], u["vel"] = complex(u["x"], u["y"]), complex(u["vx"], u["vy"])
        self.rmax = max(t.radius for t in scenario.types)
        self.body_max = max(t.separation_radius for t in scenario.types)
        self.rules = scenario.profile

    def living(self, ally=None):
        return [u for u in self.units if u["in_play"] and ally in (None, u["ally"])]

    # 5.2
    @staticmethod
    def near(a, b, r):
        ax, ay, bx, by = F(a.real), F(a.imag), F(b.real), F(b.imag)
        dx, dy = abs(ax - bx), abs(ay - by)
        if dx > F(r) or dy > F(r):
            return False
        return bool(dx + dy <= F(r) or dx * dx + dy * dy <= F(r * r))

    def in_weapon_range(self, u, t):
        return self.near(u["pos"], t["pos"], u["type"].attack_range + t["type"].radius + u["type"].radius)

    @staticmethod
    def can_hit(u, t):
        return bool(u["type"].can_hit & (1 << t["type"].plane))

    # 8.1
    def clean_up(self):
        for u in self.living():
            u["prev_target"] = u["target"]
            if u["command"] == TARGET:
                u["target"] = u["command_unit"] if self.units[u["command_unit"]]["hp"] > 0 else -1
            elif u["command"] != ATTACK_MOVE:
                u["target"] = -1
            elif u["target"] >= 0:
                t = self.units[u["target"]]
                chases = self.rules.opponent == "chase" and not u["type"].is_healer
                keeps = t["hp"] > 0 and (chases or t["target"] == u["id"] or self.in_weapon_range(u, t))
                u["target"] = u["target"] if keeps else -1

    # 8.2 to 8.4
    def toward(self, u, point, speed, in_f32):
        if in_f32:
            dx, dy = F(point.real) - F(u["pos"].real), F(point.imag) - F(u["pos"].imag)
            length = F(np.sqrt(dx * dx + dy * dy))
            if length == 0 or speed == 0:
                return 0j
            return complex(dx * F(speed) / length, dy * F(speed) / length)
        d = point - u["pos"]
        return d * speed / abs(d) if abs(d) > 0 and speed > 0 else 0j

    def go_for(self, u, t, speed):
        if self.in_weapon_range(u, t) and self.can_hit(u, t):
            u["attacking"] = True
            return 0j
        return self.toward(u, t["pos"], speed, True)

    def candidates(self, u):
        scan = u["type"].scan_range
        found = []
        for t in self.living(ally=True):
            d = abs(t["pos"] - u["pos"])
            if self.can_hit(u, t) and d <= scan + self.rmax and t["hp"] > 0:
                if d < scan + t["type"].radius or t["target"] == u["id"]:
                    found.append((0 if t["type"].is_healer else 1, d, t["id"]))
        return found

    def choose(self, u):
        if self.rules.opponent != "attack_move":
            able = [(abs(t["pos"] - u["pos"]), t["id"]) for t in self.living(ally=True) if self.can_hit(u, t)]
            u["target"] = u["target"] if u["target"] >= 0 else min(able)[1] if able else -1
            return
        found = self.candidates(u)
        if u["target"] < 0:
            chasers = [t for t in self.living(ally=True) if t["target"] == u["id"] and self.can_hit(u, t)]
            found += [(0 if t["type"].is_healer else 1, 2e9, t["id"]) for t in chasers]
            u["target"] = min(found)[2] if found else -1
        elif not self.units[u["target"]]["type"].is_healer:
            if found and any(t["type"].is_healer for t in self.living(ally=True)):
                u["target"] = min(found)[2]

    def choose_as_healer(self, u):
        scan = u["type"].scan_range
        around = [
            (t, d)
            for t in self.living(ally=False)
            for d in [abs(t["pos"] - u["pos"])]
            if self.can_hit(u, t) and d <= scan + self.rmax
        ]
        hurt = [
            (t["hp"], t["id"])
            for t, d in around
            if 0 < t["hp"] and d < scan + t["type"].radius and (t["hp"] < t["type"].hp or t["target"] >= 0)
        ]
        u["target"] = min(hurt)[1] if hurt else -1
        return min([t["type"].speed for t, _ in around], default=u["type"].speed)

    def prefer(self):
        for u in self.living():
            u["pref"] = 0j
            speed = u["type"].speed
            goal = complex(u["command_x"], u["command_y"])
            if u["command"] == MOVE:
                u["pref"] = self.toward(u, goal, speed, False)
            elif u["command"] == TARGET:
                t = self.units[u["command_unit"]]
                if self.rules.hits_dead_targets or t["hp"] > 0:
                    u["pref"] = self.go_for(u, t, speed)
            elif u["command"] == ATTACK_MOVE:
                if not u["type"].is_healer:
                    self.choose(u)
                elif u["target"] < 0:
                    speed = self.choose_as_healer(u)
                if u["target"] >= 0:
                    u["pref"] = self.go_for(u, self.units[u["target"]], speed)
                elif u["type"].is_healer and self.rules.opponent != "attack_move":
                    u["pref"] = self.follow(u, speed)
                else:
                    u["pref"] = self.toward(u, goal, speed, False)

    def follow(self, u, speed):
        fighters = [t for t in self.living(ally=False) if not t["type"].is_healer]
        if not fighters:
            return 0j
        t = min(fighters, key=lambda t: (abs(t["pos"] - u["pos"]), t["id"]))
        return 0j if self.in_weapon_range(u, t) else self.toward(u, t["pos"], speed, True)

    # 9.2
    def wall_lines(self, u):
        lines = []
        r, reach = u["type"].separation_radius, u["type"].separation_radius + u["type"].speed
        for x, y, w, h in self.s.rects:
            dx = max(0.0, abs(u["pos"].real - (x + w / 2)) - w / 2)
            dy = max(0.0, abs(u["pos"].imag - (y + h / 2)) - h / 2)
            if not (dx > reach or dy > reach) and (dx + dy <= reach or dx * dx + dy * dy <= reach * reach):
                corners = [complex(x, y), complex(x + w, y), complex(x + w, y + h), complex(x, y + h)]
                for i in range(4):
                    line = self.edge_line(u, [c - u["pos"] for c in corners], i, r, lines)
                    if line:
                        lines.append(line)
        return lines

    def edge_line(self, u, c, i, r, lines):
        d = [complex(*v) for v in DIRECTIONS]
        a, b = c[i], c[(i + 1) % 4]
        e = b - a
        if not det(a, e) < 0:
            return None
        if any(det(a - p, q) - r >= -1e-5 and det(b - p, q) - r >= -1e-5 for p, q in lines):
            return None
        s = -dot(a, e) / dot(e, e)
        q = abs(-a - s * e) ** 2
        if s < 0 and abs(a) < r:
            return 0j, norm(complex(-a.imag, a.real))
        if s > 1 and abs(b) <= r:
            return None
        if 0 < s < 1 and q <= r * r:
            return 0j, -d[i]
        i1, i2 = i, (i + 1) % 4
        if q <= r * r:
            i1, i2 = (i, i) if s < 0 else (i2, i2)
        left, right = self.tangent(c[i1], r, 1), self.tangent(c[i2], r, -1)
        foreign_left, foreign_right = det(left, -d[i - 1]) >= 0, det(right, d[i2]) <= 0
        left = -d[i - 1] if foreign_left else left
        right = d[i2] if foreign_right else right
        return self.cone_line(u["vel"], c[i1], c[i2], i1 == i2, left, right, foreign_left, foreign_right, -d[i1], r)

    @staticmethod
    def tangent(v, r, side):
        # turn the vector to the corner by the half-angle of the cone: sin = r / |v|
        leg = math.sqrt(abs(v) ** 2 - r * r)
        return v * complex(leg, side * r) / abs(v) ** 2

    def cone_line(self, vel, a, b, single, left, right, foreign_left, foreign_right, along, r):
        t = 0.5 if single else dot(vel - a, b - a) / dot(b - a, b - a)
        tl, tr = dot(vel - a, left), dot(vel - b, right)
        if (t < 0 and tl < 0) or (single and tl < 0 and tr < 0):
            w = norm(vel - a)
            return a + r * w, complex(w.imag, -w.real)
        if t > 1 and tr < 0:
            w = norm(vel - b)
            return b + r * w, complex(w.imag, -w.real)
        dc = math.inf if t < 0 or t > 1 or single else abs(vel - (a + t * (b - a))) ** 2
        dl = math.inf if tl < 0 else abs(vel - (a + tl * left)) ** 2
        dr = math.inf if tr < 0 else abs(vel - (b + tr * right)) ** 2
        if dc <= dl and dc <= dr:
            d, base = along, a
        elif dl <= dr:
            if foreign_left:
                return None
            d, base = left, a
        else:
            if foreign_right:
                return None
            d, base = -right, b
        if self.rules.wall_offset_on_both_axes:
            return base + complex(-r * d.imag, -r * d.imag), d
        return base + r * complex(-d.imag, d.real), d

    # 9.3
    def unit_lines(self, u):
        lines = []
        r = u["type"].separation_radius
        for o in self.living():
            x, v = o["pos"] - u["pos"], u["vel"] - o["vel"]
            if o is u or o["type"].plane != u["type"].plane or abs(x) > self.body_max + r:
                continue
            c = r + o["type"].separation_radius
            share = 0.5 if o["pref"] != 0 else 1.0
            if abs(x) ** 2 > c * c:
                w = v - x
                if dot(w, x) < 0 and dot(w, x) ** 2 > c * c * dot(w, w):
                    n = norm(w)
                    d, change = complex(n.imag, -n.real), (c - abs(w)) * n
                else:
                    g = math.sqrt(abs(x) ** 2 - c * c)
                    d = x * complex(g, c) / abs(x) ** 2 if det(x, w) > 0 else -x * complex(g, -c) / abs(x) ** 2
                    change = dot(v, d) * d - v
            else:
                w = v - 16 * x
                n = norm(w)
                d, change = complex(n.imag, -n.real), (16 * c - abs(w)) * n
            lines.append((u["vel"] + share * change, d))
        return lines

    # 9.4
    @staticmethod
    def lp1(lines, k, vmax, opt, diropt):
        p, d = lines[k]
        disc = dot(p, d) ** 2 + vmax * vmax - dot(p, p)
        if disc < 0:
            return None
        low, high = -dot(p, d) - math.sqrt(disc), -dot(p, d) + math.sqrt(disc)
        for q, e in lines[:k]:
            den, num = det(d, e), det(e, p - q)
            if abs(den) < 1e-5:
                if num < 0:
                    return None
                continue
            low, high = (low, min(high, num / den)) if den >= 0 else (max(low, num / den), high)
            if low > high:
                return None
        if diropt:
            t = high if dot(opt, d) > 0 else low
        else:
            t = min(max(dot(d, opt - p), low), high)
        return p + t * d

    def lp2(self, lines, vmax, opt, diropt):
        result = vmax * opt if diropt else vmax * norm(opt) if abs(opt) > vmax else opt
        for k, (p, d) in enumerate(lines):
            if det(d, p - result) > 0:
                better = self.lp1(lines, k, vmax, opt, diropt)
                if better is None:
                    return k, result
                result = better
        return len(lines), result

    def lp3(self, lines, n_walls, start, vmax, result):
        distance = 0.0
        for i in range(start, len(lines)):
            p, d = lines[i]
            if det(d, p - result) <= distance:
                continue
            projected = list(lines[:n_walls])
            for q, e in lines[n_walls:i]:
                if abs(det(d, e)) <= 1e-5:
                    if dot(d, e) > 0:
                        continue
                    point = 0.5 * (p + q)
                else:
                    point = p + det(e, p - q) / det(d, e) * d
                projected.append((point, norm(e - d)))
            done, better = self.lp2(projected, vmax, complex(-d.imag, d.real), True)
            if done == len(projected):
                result = better
            distance = det(d, p - result)
        return result

    def avoid(self):
        for u in self.living():
            u["new_vel"] = u["pref"]
            if u["pref"] == 0:
                continue
            walls = self.wall_lines(u) if u["type"].plane == GROUND else []
            lines = walls + self.unit_lines(u)
            k, u["new_vel"] = self.lp2(lines, u["type"].speed, u["pref"], False)
            if k < len(lines):
                u["new_vel"] = self.lp3(lines, len(walls), k, u["type"].speed, u["new_vel"])

    # 10
    def execute(self, order):
        snapshot = {u["id"]: u["pos"] for u in self.living()}
        reward = 0.0
        for i in order:
            u, t = self.units[i], self.units[i]["type"]
            if u["hp"] == 0:
                continue
            u["vel"] = u["new_vel"]
            moved = u["pos"] + u["vel"] / 16
            u["pos"] = complex(F(moved.real), F(moved.imag))
            if self.rules.stays_inside:
                x, y = (
                    min(max(v, t.radius), size - t.radius)
                    for v, size in zip((u["pos"].real, u["pos"].imag), (self.s.width, self.s.height), strict=True)
                )
                u["pos"] = complex(F(x), F(y))
            u["cooldown"] = max(0.0, u["cooldown"] - 1 / 16)
            if u["shield_cooldown"] > 0:
                u["shield_cooldown"] = max(0.0, u["shield_cooldown"] - 1 / 16)
            if u["shield_cooldown"] == 0 and u["shield"] < t.shield:
                u["shield"] = min(u["shield"] + 0.125, t.shield)
            if u["energy"] < t.energy_max:
                u["energy"] = min(u["energy"] + 0.03515625, t.energy_max)
            if t.hp_regen and u["hp"] < t.hp:
                u["hp"] = min(u["hp"] + t.hp_regen / 16, t.hp)
            reward += self.act(u, snapshot)
        return reward

    def act(self, u, snapshot):
        if u["command"] == STOP:
            u["target"] = -1
        aim = u["command_unit"] if u["command"] == TARGET else u["target"] if u["command"] == ATTACK_MOVE else -1
        if aim < 0 or not u["attacking"]:
            return 0.0
        u["attacking"] = False
        if u["cooldown"] > 0:
            return 0.0
        u["cooldown"] = u["type"].cooldown
        target = self.units[aim]
        if u["type"].is_healer:
            self.heal(u, target)
            return 0.0
        if u["type"].weapon == BLAST:
            return self.blast(u, snapshot)
        if u["type"].weapon == BEAM:
            return self.beam(u, target, snapshot)
        return self.hit(u, target)

    def hit(self, a, b):
        reward = 0.0
        for _ in range(a["type"].attacks):
            if b["hp"] == 0:
                continue
            amount = a["type"].damage + sum(v for k, v in a["type"].bonus.items() if k in b["type"].attributes)
            if b["type"].shield:
                b["shield_cooldown"] = 10.0
            taken = min(amount, b["shield"])
            b["shield"] -= taken
            wound = max(0.0, min(amount - taken - b["type"].armor, b["hp"]))
            b["hp"] -= wound
            if not b["ally"]:
                reward += taken + wound + (10.0 if b["hp"] == 0 else 0.0)
        return reward

    def heal(self, h, t):
        full = t["type"].hp
        if (h["prev_target"] != h["target"] and h["energy"] < 5) or t["hp"] == full:
            h["target"] = -1
            return
        if t["hp"] == 0 and not self.rules.heals_dead_targets:
            return
        want = min(full - t["hp"], 0.5625)
        if h["healing"] < want:
            e = min(1.0, h["energy"])
            h["energy"] -= e
            h["healing"] += 3 * e
        z = min(want, h["healing"])
        h["healing"] -= z
        t["hp"] += z

    def others_near(self, u, centre, radius, snapshot):
        return [
            self.units[i]
            for i in sorted(snapshot)
            if self.units[i]["ally"] != u["ally"] and abs(snapshot[i] - centre) <= radius
        ]

    def blast(self, u, snapshot):
        reward = 0.0 if u["ally"] else u["hp"]
        u["hp"] = 0.0
        for b in self.others_near(u, u["pos"], u["type"].blast_radius + self.rmax, snapshot):
            if self.near(b["pos"], u["pos"], u["type"].blast_radius + b["type"].radius):
                reward += self.hit(u, b)
        return reward

    def beam(self, u, t, snapshot):
        width, height = u["type"].beam_width, u["type"].beam_height
        reward = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            fx, fy = F(t["pos"].real) - F(u["pos"].real), F(t["pos"].imag) - F(u["pos"].imag)
            theta = np.arctan(F(-1) / (fy / fx))
        for b in self.others_near(u, t["pos"], math.hypot(width, height) / 2, snapshot):
            g = self.turned(t["pos"], theta) - self.turned(b["pos"], theta)
            gx, gy = max(abs(g.real) - width / 2, 0), max(abs(g.imag) - height / 2, 0)
            if gx * gx + gy * gy <= b["type"].radius ** 2:
                reward += self.hit(u, b)
        return reward

    @staticmethod
    def turned(q, theta):
        x, y, c, s = F(q.real), F(q.imag), np.cos(theta), np.sin(theta)
        return complex(x * c + y * s, -x * s + y * c)

    def remove_dead(self):
        for u in self.living():
            u["in_play"] = u["hp"] != 0


def random_state(engine, rng):
    """A state in the middle of a battle, then shaken: hurt, tired and aiming units, crowded."""
    for _ in range(int(rng.integers(1, 40))):
        mask = engine.action_mask
        attack = mask.copy()
        attack[:, :, 1:6] &= ~mask[:, :, 6:].any(-1)[..., None]
        engine.step((rng.random(mask.shape) * attack).argmax(-1))
        if engine.terminated[0]:
            engine.reset()
    state = engine.get_state()
    alive = state["in_play"]
    shape = alive.shape
    kinds = engine.kinds
    state["x"] = (state["x"] + rng.normal(0, 0.2, shape) * alive).astype(F)
    state["y"] = (state["y"] + rng.normal(0, 0.2, shape) * alive).astype(F)
    state["hp"] = np.where(alive, np.minimum(np.ceil(rng.random(shape) * 1.3 * kinds["hp_max"]), kinds["hp_max"]), 0.0)
    state["hp"] = np.where(rng.random(shape) < 0.3, np.minimum(state["hp"], 5.0), state["hp"])
    state["shield"] = np.minimum(np.round(rng.random(shape) * 1.5 * kinds["shield_max"]), kinds["shield_max"])
    state["energy"] = rng.random(shape) * np.where(rng.random(shape) < 0.5, 8, kinds["energy_max"])
    state["energy"] = np.minimum(state["energy"], kinds["energy_max"])
    state["cooldown"] = np.where(rng.random(shape) < 0.6, 0.0, rng.random(shape) * kinds["period"])
    state["shield_cooldown"] = np.where(rng.random(shape) < 0.5, 0.0, state["shield_cooldown"])
    state["attacking"] = alive & (rng.random(shape) < 0.1)
    engine.set_state(state)


def available_actions(engine, rng):
    """Random actions in which attacks are as likely as the rest together."""
    weight = engine.action_mask * np.where(np.arange(engine.action_shape) >= 6, 4.0, 1.0)
    return (rng.random(weight.shape) ** (1 / np.maximum(weight, 1e-9)) * engine.action_mask).argmax(-1)


CASES = [
    ("MMM", "smaclite"),
    ("2s3z", "smaclite"),
    ("2c_vs_64zg", "smaclite"),
    ("bane_vs_bane", "smaclite"),
    ("corridor", "smaclite"),
    ("2s_vs_1sc", "smaclite"),
    ("MMM2", "smac"),
    ("corridor", "smac"),
    ("MMM2", "smacv2"),
    ("terran_10_vs_11", "smacv2"),
    ("terran_10_vs_10", "near"),
    ("protoss_10_vs_10", "near"),
]


@pytest.mark.parametrize(("name", "rules"), CASES)
def test_a_tick_equals_its_plain_version(name, rules):
    rng = np.random.default_rng(len(name))
    seen = {"moved": 0, "hurt": 0, "died": 0, "aimed": 0}
    for seed in range(10):
        opponent = rules if rules == "near" else None
        engine = BattleEngine(name, 1, seed, "smacv2" if opponent else rules, opponent=opponent, num_threads=1)
        random_state(engine, rng)
        engine.begin_step(available_actions(engine, rng))
        for _ in range(3):
            before = engine.units[0].copy()
            plain = PlainBattle(engine, before)
            order = np.full((1, len(before)), -1)
            living = np.flatnonzero(before["in_play"])
            order[0, : len(living)] = rng.permutation(living)
            reward_before = engine.battles["tick_reward"][0]
            engine.run_tick(order)
            reward = engine.battles["tick_reward"][0] - reward_before
            compare(plain, engine, order[0, : len(living)], reward)
            after = engine.units[0]
            seen["moved"] += int((after["x"] != before["x"]).sum())
            seen["hurt"] += int((after["hp"] < before["hp"]).sum())
            seen["died"] += int((before["in_play"] & ~after["in_play"]).sum())
            seen["aimed"] += int((after["target"] >= 0).sum())
    del seen["died" if name in ("2s_vs_1sc", "2s3z") else "aimed"]  # too few shots for a death in every such run
    assert all(seen.values()), seen


def compare(plain, engine, order, reward):
    """Run the plain version phase by phase; preferences and velocities are compared as the kernels left them."""
    drafts, after = engine._scratch[0].drafts, engine.units[0]
    plain.clean_up()
    plain.prefer()
    for u in plain.living():
        assert complex(drafts[u["id"]]["pref_x"], drafts[u["id"]]["pref_y"]) == pytest.approx(u["pref"], abs=1e-6)
    plain.avoid()
    for u in plain.living():
        new_vel = complex(drafts[u["id"]]["new_vx"], drafts[u["id"]]["new_vy"])
        assert new_vel == pytest.approx(u["new_vel"], abs=2e-4), u["id"]
        u["new_vel"] = new_vel  # the execution starts from the same velocities
    assert plain.execute(order) == pytest.approx(reward, abs=1e-9)
    plain.remove_dead()
    for u in plain.units:
        assert complex(after[u["id"]]["x"], after[u["id"]]["y"]) == pytest.approx(u["pos"], abs=1e-6)
        for field in ("hp", "shield", "energy", "cooldown", "shield_cooldown", "healing"):
            assert after[u["id"]][field] == pytest.approx(u[field], abs=1e-9), (u["id"], field)
        for field in ("target", "attacking", "in_play"):
            assert after[u["id"]][field] == u[field], (u["id"], field)
