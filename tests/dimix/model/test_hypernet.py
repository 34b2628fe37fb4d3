"""HPN's agents against its equations, unit by unit, on rows of battles with any number of healers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dimix.check import updates
from dimix.config.checks import place_entities
from dimix.config.compile import compile_all
from dimix.envs.agent_input import AgentInput
from dimix.errors import ConfigError
from dimix.model import QMix
from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.maps.scenario import load_scenario
from dizoo.smac.envs.map_info import map_info

UNITS = {"MARINE": 2, "MARAUDER": 1}


def arena(medivacs):
    """Two Marines, a Marauder and some Medivacs against as many and two more, near one another."""
    units = {**({"MEDIVAC": medivacs} if medivacs else {}), **UNITS}
    count = sum(units.values())
    return load_scenario(
        dict(
            name="arena", num_allied_units=count, num_enemy_units=count + 2, attack_point=[9, 16],
            terrain_preset="SIMPLE", num_unit_types=3, unit_type_ids={"MEDIVAC": 0, "MARINE": 1, "MARAUDER": 2},
            groups=[
                {"x": 14, "y": 16, "faction": "ALLY", "units": units},
                {"x": 19, "y": 16, "faction": "ENEMY", "units": {"MARINE": count + 2}},
            ],
            ally_has_shields=False, enemy_has_shields=False,
        )
    )  # fmt: skip


BATTLES = {**{f"{n} healers": lambda n=n: arena(n) for n in (0, 1, 3)}, "drawn": lambda: load_scenario("terran_5_vs_5")}


def battle_rows(scenario, last_action=True, steps=12):
    """Rows (R, O) of agents that act at random, masks (R, N), and the kinds of units in them."""
    engine, info = BattleEngine(scenario, 8, seed=0), map_info(scenario)
    joined = AgentInput(info.obs_shape, info.action_shape, info.agent_num, last_action, True)
    rng, rows, masks = np.random.default_rng(0), [], []
    engine.reset()
    last = np.full((8, info.agent_num), -1)
    for _ in range(steps):
        rows.append(joined.build(engine.agent_state, last).reshape(-1, joined.size).copy())
        masks.append(engine.action_mask.reshape(-1, info.action_shape).copy())
        last = np.where(engine.action_mask, rng.random(engine.action_mask.shape), -1).argmax(-1)
        engine.step(last)
    return torch.from_numpy(np.concatenate(rows)), torch.from_numpy(np.concatenate(masks)), place_entities(info, joined)


def agents(rows, masks, kinds, **options):
    torch.manual_seed(0)
    sizes = dict(agent_num=1, obs_shape=rows.shape[1], global_obs_shape=3, action_shape=masks.shape[1])
    options = dict(entity_net="hypernet", entity_embed_dim=6, hidden_size_list=[5]) | options
    return QMix(**sizes, equivariant=True, entities=kinds, **options).agent


def merged(parts, weight):
    """pymarl3's Merger: one part per head, weighted by the softmax of what is learned."""
    return parts[0] if weight is None else sum(s * part for s, part in zip(weight.softmax(0), parts, strict=True))


def units_of(kind, row):
    """Number, features and hypernetwork's hidden layer of each unit that is seen."""
    at = kind.at
    aims = not at.named_by or any(row[column] != 0 for column in at.named_by)
    for j in range(at.count):
        unit = row[at.column + j * at.size : at.column + (j + 1) * at.size]
        if unit.any():
            mark = [] if at.last_action is None else [row[at.last_action + j] * aims]
            unit = torch.cat([unit, torch.tensor(mark)])
            yield j, unit, F.relu(kind.code(unit)), aims


def hpn(agent, row, h):
    """Q-values (N,) and new state of one agent with one row, by the equations of Hao et al. 2023."""
    encoder = agent.encoder[0]
    x = encoder.other(row[encoder.other_columns])
    for kind in encoder.kinds:
        for _, unit, hidden, _ in units_of(kind, row):
            W = kind.weights(hidden).view(kind.heads, len(unit), len(x))
            x = x + merged([unit @ head for head in W], encoder.merge.weight)
    h = agent.memory.step(F.relu(x)[None], h[None])[0][0]
    seen = h if agent.norm is None else agent.norm(h)
    q = agent.head(seen)
    for kind in encoder.kinds:
        if kind.at.action is None or (kind.at.named_by and not row[list(kind.at.named_by)].any()):
            continue
        q = torch.cat([q[: kind.at.action], torch.zeros(kind.at.count), q[kind.at.action + kind.at.count :]])
        for j, _, hidden, _ in units_of(kind, row):
            v = kind.query(hidden).view(kind.heads, -1)
            q[kind.at.action + j] = merged([head[:-1] @ seen + head[-1] for head in v], kind.merge.weight)
    return q, h


@pytest.mark.parametrize("battle", BATTLES)
@pytest.mark.parametrize("options", [{}, dict(entity_heads=2, layer_norm=True)], ids=["one head", "two heads"])
@torch.no_grad()
def test_the_equations(battle, options):
    rows, masks, kinds = battle_rows(BATTLES[battle]())
    agent = agents(rows, masks, kinds, **options)
    for name, weight in agent.named_parameters():
        if "merge" in name:
            weight.copy_(torch.randn_like(weight))
    some, state = torch.arange(0, len(rows), 5), torch.randn(len(rows), 5)
    q, new = agent.step(rows[some], state[some])
    right = [hpn(agent, rows[i], state[i]) for i in some]
    torch.testing.assert_close(q, torch.stack([each for each, _ in right]), atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(new, torch.stack([h for _, h in right]), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("battle", BATTLES)
@torch.no_grad()
def test_the_value_of_an_attack_or_a_heal_is_that_of_its_unit(battle):
    """It changes with what the row says of that unit, and in no other way: the head has no say in it."""
    rows, masks, kinds = battle_rows(BATTLES[battle](), last_action=False)
    agent = agents(rows, masks, kinds)
    features = torch.randn(len(rows), 5)
    q, counted = agent.q_of(features, rows), 0
    for kind in [kind for kind in kinds if kind["action"] is not None]:
        names = (rows[:, kind.get("named_by", [])] != 0).any(1) | ("named_by" not in kind)
        for j in range(kind["count"]):
            at = kind["action"] + j
            block = slice(kind["column"] + j * kind["size"], kind["column"] + (j + 1) * kind["size"])
            aimed = names & masks[:, at]
            other = rows.clone()
            other[:, block] *= 2
            changed = agent.q_of(features, other) != q
            assert changed[aimed, at].all()
            changed[names, at] = False
            assert not changed.any()
            counted += int(aimed.sum())
            agent.head.weight[at].normal_()
            before, q = q, agent.q_of(features, rows)
            assert torch.equal(q[aimed], before[aimed])
    assert counted > 100
    assert (kinds[1]["action"] is None) == (battle == "0 healers")
    assert len(kinds[0].get("named_by", [])) == (0 if battle == "0 healers" else 2)  # Marines and Marauders


def test_every_weight_learns_but_the_heads_for_units():
    """Its values of actions that always name a unit are never used."""
    policy = updates.small_policy("HPN-QMIX")
    _, gradients = updates.update(policy, updates.small_batch())
    assert gradients.keys() == {name for name, _ in policy.model.named_parameters()}
    assert all((gradient != 0).any() for gradient in gradients.values())
    assert [bool((row != 0).any()) for row in gradients["agent.head.weight"]] == [True, True, False, False, True]


@pytest.mark.parametrize("algorithm", ["QPLEX", "VDN", "IQL", "CW-QMIX", "QTRAN-alt", "PQN"])
def test_every_member_of_the_family_learns_with_it(algorithm, monkeypatch):
    monkeypatch.setitem(updates.NETWORKS, algorithm, updates.NETWORKS["HPN-QMIX"])
    assert updates.from_reference(algorithm, torch.float64, fused=False) < 1e-12


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dict(entity_net="hypernet"), "policy.model.entity_net.*'hypernet', but equivariant is False"),
        (dict(equivariant=True, entity_heads=2), "policy.model.entity_heads.*2, but entity_net is 'sum'"),
        (dict(equivariant=True, entity_net="hyper"), "policy.model.entity_net.*'hyper'. Use one of 'sum', 'hypernet'"),
        (dict(equivariant=True, entity_net="hypernet", entity_heads=0), "policy.model.entity_heads.* out of range"),
    ],
)
def test_settings_that_cannot_work_are_refused(model, message):
    env = dict(type="smac", import_names=["dizoo.smac.envs.smac_env"])
    config = dict(env=dict(map_name="3m"), policy=dict(model=model)), dict(env=env, policy=dict(type="qmix"))
    with pytest.raises(ConfigError, match=message):
        compile_all(config)
