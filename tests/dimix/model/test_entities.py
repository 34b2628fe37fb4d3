"""Agents that read the others as sets: the compiled loops against torch, and what a change of numbers may change."""

import numpy as np
import pytest
import torch

from dimix.config.compile import compile_all
from dimix.errors import ConfigError
from dimix.model import QMix, QTran, WQMix
from dimix.model.entities import EntityEncoder
from dimix.model.kernels.buffers import POOL
from dimix.model.spec import AgentSpec
from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.maps.layout import column_names
from dizoo.smac.battle.maps.rules import SIGHT_RANGE, TARGET_RANGE
from dizoo.smac.battle.maps.scenario import load_scenario, map_names, task_names
from dizoo.smac.envs.map_info import map_info

ENEMIES, ALLIES, ACTIONS, AGENTS = 4, 2, 11, 3
#: Two moves, 4 enemies of 5 features (named by the actions from 6 on), 2 allies of 3, two of the agent's own,
#: the last action, the agent's number.
OBS = 2 + ENEMIES * 5 + ALLIES * 3 + 2
SIZE = OBS + ACTIONS + AGENTS
KINDS = [
    dict(column=2, count=ENEMIES, size=5, action=6, last_action=OBS + 6),
    dict(column=22, count=ALLIES, size=3, action=None, last_action=None),
]
WITHOUT_LAST = [{**kind, "last_action": None} for kind in KINDS]
#: Fighters, whose own column OBS - 2 is set, name the enemies; healers, whose OBS - 1 is, the allies.
FIGHTERS_AND_HEALERS = [
    {**KINDS[0], "named_by": [OBS - 2]},
    {**KINDS[1], "action": 7, "last_action": OBS + 7, "named_by": [OBS - 1]},
]
HYPERNET = dict(entity_net="hypernet", entity_heads=2)
SIZES = dict(agent_num=AGENTS, obs_shape=SIZE, global_obs_shape=7, action_shape=ACTIONS, hidden_size_list=[8])


def make_encoder(kinds, embed_dim=4):
    return EntityEncoder(AgentSpec(SIZE, ACTIONS, [6, 8], entities=kinds, entity_embed_dim=embed_dim))


def rows(count, seed=0):
    """Random rows with entities that are not there, and a last action."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, SIZE, generator=rng)
    for kind in KINDS:
        there = torch.rand(count, kind["count"], generator=rng) < 0.6
        x[:, kind["column"] : kind["column"] + kind["count"] * kind["size"]] *= there.repeat_interleave(kind["size"], 1)
    x[:, OBS - 2 : OBS] = torch.eye(3)[torch.randint(3, (count,), generator=rng), :2]  # of two types, or dead
    x[:, OBS : OBS + ACTIONS] = torch.eye(ACTIONS)[torch.randint(ACTIONS, (count,), generator=rng)]
    return x


def renumbered(x, enemies, allies):
    """The same rows with the enemies and the allies in another order, in the last action as well."""
    x = x.clone()
    for kind, order in zip(KINDS, (enemies, allies), strict=True):
        block = slice(kind["column"], kind["column"] + kind["count"] * kind["size"])
        x[..., block] = x[..., block].unflatten(-1, (kind["count"], kind["size"]))[..., order, :].flatten(-2)
    named = slice(OBS + 6, OBS + 6 + ENEMIES)
    x[..., named] = x[..., named][..., enemies]
    return x


def all_gradients(encoder, head, x, features):
    encoder.zero_grad()
    head.zero_grad()
    features = features.clone().requires_grad_()
    summed, values = encoder(x), encoder.action_values(features, x, head)
    taken = values.gather(1, torch.arange(len(x)).unsqueeze(1) % ACTIONS)
    (summed.sin().sum() + taken.exp().sum()).backward()
    return [summed, values, features.grad, *(p.grad.clone() for p in (*encoder.parameters(), *head.parameters()))]


@pytest.mark.parametrize(
    "kinds", [KINDS, WITHOUT_LAST, FIGHTERS_AND_HEALERS], ids=["last action", "without", "two types"]
)
@pytest.mark.parametrize("count", [1, 300, 700])
@pytest.mark.parametrize("embed_dim", [5, 64])
def test_compiled_loops_equal_torch_in_values_and_gradients(kinds, count, embed_dim):
    torch.manual_seed(0)
    encoder = make_encoder(kinds, embed_dim)
    head, x, features = torch.nn.Linear(8, ACTIONS), rows(count), torch.randn(count, 8)
    ours = all_gradients(encoder, head, x, features)
    encoder.fused = False
    exact = all_gradients(encoder.double(), head.double(), x.double(), features.double())
    for mine, right in zip(ours, exact, strict=True):
        assert mine.shape == right.shape
        assert (mine - right).abs().max() <= 2e-6 * right.abs().max().clamp(min=1.0)


def test_no_rows_and_rows_that_ask_for_gradients():
    encoder = make_encoder(KINDS)
    assert encoder(rows(0)).shape == (0, 6)
    assert encoder.action_values(torch.zeros(0, 8), rows(0), torch.nn.Linear(8, ACTIONS)).shape == (0, ACTIONS)
    x = rows(3).requires_grad_()
    encoder(x).sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())


def test_a_gradient_reaches_only_what_learns():
    """Frozen codes, as in a network that is being tuned: the others learn as without."""
    torch.manual_seed(0)
    encoder, head = make_encoder(FIGHTERS_AND_HEALERS), torch.nn.Linear(8, ACTIONS)
    x, features = rows(300), torch.randn(300, 8)
    names = [name for name, _ in encoder.named_parameters()]
    every = dict(zip(names, all_gradients(encoder, head, x, features)[3:], strict=False))  # the head's come last
    for kind in encoder.kinds:
        kind.code.requires_grad_(False)
    encoder.zero_grad()
    taken = encoder.action_values(features, x, head).gather(1, torch.arange(300).unsqueeze(1) % ACTIONS)
    (encoder(x).sin().sum() + taken.exp().sum()).backward()
    for name, parameter in encoder.named_parameters():
        if ".code." in name:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, every[name])


def test_buffers_come_back_and_a_second_backward_is_refused():
    encoder, head = make_encoder(FIGHTERS_AND_HEALERS), torch.nn.Linear(8, ACTIONS)
    x, features = rows(300), torch.randn(300, 8)
    POOL._free.clear()
    for _ in range(3):
        all_gradients(encoder, head, x, features)
    free = {flat.data_ptr() for flat in POOL._free}
    all_gradients(encoder, head, x, features)
    with torch.no_grad():
        encoder(x)
    encoder.requires_grad_(False)(x)  # a target network, while gradients are on
    assert {flat.data_ptr() for flat in POOL._free} == free
    out = encoder.requires_grad_()(x).sum()
    out.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="backward ran twice over one forward"):
        out.backward()


def test_values_by_hand():
    """One enemy of two features and one action for it: relu codes, their sum, and the product with the query."""
    kind = dict(column=0, count=2, size=2, action=1, last_action=5)
    encoder = EntityEncoder(AgentSpec(7, 3, [1], entities=[kind], entity_embed_dim=1))
    with torch.no_grad():
        encoder.other.weight.copy_(torch.tensor([[10.0, 0.0, 0.0]]))
        encoder.other.bias.zero_()
        layers = encoder.kinds[0]
        layers.code.weight.copy_(torch.tensor([[1.0, 2.0, 100.0]]))
        layers.code.bias.fill_(0.5)
        layers.total.weight.fill_(2.0)
        layers.query.weight.fill_(3.0)
        layers.query.bias.zero_()
    # columns: two enemies, one other, then the marks of the actions 1 and 2
    x = torch.tensor([[1.0, 1.0, 0.0, 0.0, 4.0, 0.0, 0.0], [1.0, -2.0, 0.5, 0.0, 0.0, 0.0, 1.0]])
    # codes: 3.5 and none; relu(-2.5) = 0 and 0.5 + 0.5 + 100
    torch.testing.assert_close(encoder(x), torch.tensor([[47.0], [202.0]]))
    head = torch.nn.Linear(1, 3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [1.0], [0.0]]))
        head.bias.copy_(torch.tensor([0.0, 0.0, 7.0]))
    values = encoder.action_values(torch.tensor([[1.0], [2.0]]), x, head)
    torch.testing.assert_close(values, torch.tensor([[0.0, 11.5, 7.0], [0.0, 2.0, 613.0]]))


def test_only_those_whose_actions_name_them():
    """A healer's values do not ask about enemies, a fighter's not about allies, and neither do their last actions."""
    torch.manual_seed(3)
    encoder = make_encoder(FIGHTERS_AND_HEALERS)
    x, features = rows(200), torch.randn(200, 8)
    fighter, healer = x[:, OBS - 2] == 1, x[:, OBS - 1] == 1
    head = torch.nn.Linear(8, ACTIONS)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    values = encoder.action_values(features, x, head)
    assert bool((values[~fighter & ~healer] == 0).all())
    for named, by in ((slice(6, 10), fighter), (slice(7, 9), healer)):
        outside = values[by].clone()
        assert bool((outside[:, named] != 0).any())
        outside[:, named] = 0
        assert bool((outside == 0).all())
    with torch.no_grad():
        encoder.other.weight[:, -(ACTIONS + AGENTS) :] = 0  # what the row says of the last action elsewhere
    without = x.clone()
    without[:, OBS : OBS + ACTIONS] = 0
    changed = (encoder(x) != encoder(without)).any(1)
    last = x[:, OBS : OBS + ACTIONS].argmax(1)
    seen = [x[:, k["column"] : k["column"] + k["count"] * k["size"]] for k in FIGHTERS_AND_HEALERS]
    for row in torch.nonzero(changed).squeeze(1):
        kind, first = (0, 6) if fighter[row] else (1, 7)
        assert bool(fighter[row] | healer[row])
        size = FIGHTERS_AND_HEALERS[kind]["size"]
        at = int(last[row]) - first
        assert 0 <= at < FIGHTERS_AND_HEALERS[kind]["count"]
        assert bool((seen[kind][row, at * size : (at + 1) * size] != 0).any())
    assert changed.sum() > 20


@pytest.mark.parametrize("cls", [QMix, WQMix, QTran])
@pytest.mark.parametrize(
    "options", [{}, dict(lstm_type="lstm", dueling=True, layer_norm=True), dict(fused=False), HYPERNET]
)
def test_values_move_with_the_units(cls, options):
    """Whatever the order of enemies and allies, the value of each action on an enemy goes with the enemy."""
    torch.manual_seed(1)
    model = cls(**SIZES, equivariant=True, entities=KINDS, **options)
    with torch.no_grad():  # values of the actions themselves may differ: the head's own part alike for all targets
        model.agent.head.weight[6:10] = model.agent.head.weight[6]
        model.agent.head.bias[6:10] = model.agent.head.bias[6]
        model.agent.entities.other.weight[:, 4 + 6 : 4 + 10] = 0.5
    x = rows(5 * 6 * AGENTS).view(5, 6, AGENTS, SIZE)
    enemies, allies = [2, 0, 3, 1], [1, 0]
    with torch.no_grad():
        q, _ = model.unroll(x)
        moved, _ = model.unroll(renumbered(x, enemies, allies))
    right = q.clone()
    right[..., 6:10] = q[..., 6:10][..., enemies]
    torch.testing.assert_close(moved, right, atol=2e-6, rtol=1e-5)
    assert not torch.allclose(q[..., 6:10], right[..., 6:10], atol=1e-3)


def test_steps_equal_whole_sequences(check_acting):
    torch.manual_seed(2)
    model = QMix(**SIZES, equivariant=True, entities=KINDS)
    check_acting(model, rows(2 * 4 * AGENTS).view(2, 4, AGENTS, SIZE))


def test_orthogonal_start_prefers_no_action():
    model = QMix(**SIZES, equivariant=True, entities=KINDS, orthogonal_init=True)
    query = model.agent.entities.kinds[0].query
    torch.testing.assert_close(query.weight[:8].T.norm(dim=1), torch.full((8,), 0.01), atol=1e-2, rtol=0)
    assert float(query.weight.detach().abs().max()) <= 0.01 and bool((query.bias == 0).all())


def test_a_model_without_entities_or_with_groups_is_refused():
    with pytest.raises(ValueError, match="equivariant is True, but there are no entities"):
        QMix(**SIZES, equivariant=True)
    with pytest.raises(ValueError, match="parameter_sharing='all'"):
        QMix(**SIZES, equivariant=True, entities=KINDS, parameter_sharing="none")


@pytest.mark.parametrize("name", [*map_names(), *task_names()])
def test_the_maps_tell_where_their_units_are(name):
    """Each block begins and ends with the names of its first and last unit, and nothing else is in between."""
    scenario = load_scenario(name)
    names, info = column_names(scenario.obs_layout), map_info(scenario)
    for kind, prefix in zip(info.entities, ("enemy", "other_ally"), strict=False):
        units = [n.split(".")[0] for n in names[kind.column : kind.column + kind.count * kind.size]]
        assert units == [f"{prefix}{j}" for j in range(kind.count) for _ in range(kind.size)]
    covered = sum(kind.count * kind.size for kind in info.entities)
    assert sum(n.startswith(("enemy", "other_ally")) for n in names) == covered
    assert info.entities[0].action + scenario.n_enemies <= scenario.n_actions
    own = {n: i for i, n in enumerate(names) if n.startswith("own.is_")}
    for kind in info.entities:
        assert set(kind.named_by) <= set(own.values())


@pytest.mark.parametrize(
    ("groups", "enemies", "action", "healers"),
    [
        ([{"MEDIVAC": 1, "MARINE": 2}], 3, 7, (0,)),
        ([{"MARINE": 2, "MEDIVAC": 1}], 3, 6, (0,)),
        ([{"MEDIVAC": 2, "MARINE": 2}], 4, 7, (0,)),
        ([{"MARINE": 1, "MEDIVAC": 1}, {"MARINE": 1}], 3, None, ()),  # the healer stands between them
        ([{"MEDIVAC": 1, "MARINE": 2}], 2, None, ()),  # no action for the last Marine
    ],
)
def test_healers_name_allies_where_the_order_lets_them(groups, enemies, action, healers):
    allies = [{"x": 9, "y": 16 + i, "faction": "ALLY", "units": units} for i, units in enumerate(groups)]
    count = sum(sum(units.values()) for units in groups)
    spec = dict(
        name="arena", num_allied_units=count, num_enemy_units=enemies, attack_point=[9, 16], terrain_preset="SIMPLE",
        groups=[*allies, {"x": 23, "y": 16, "faction": "ENEMY", "units": {"MARINE": enemies}}], num_unit_types=2,
        unit_type_ids={"MEDIVAC": 0, "MARINE": 1}, ally_has_shields=False, enemy_has_shields=False,
    )  # fmt: skip
    scenario = load_scenario(spec)
    own = scenario.obs_size - 2
    foes, friends = map_info(scenario).entities
    assert (foes.action, foes.named_by) == (6, (own + 1,))
    assert (friends.action, friends.named_by) == (action, tuple(own + i for i in healers))


def smac_config(**model):
    return dict(env=dict(map_name="3m"), policy=dict(model=model)), dict(
        env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]), policy=dict(type="qmix")
    )


def test_a_config_knows_where_the_units_are_in_the_network_input():
    scenario = load_scenario("3m")
    for last_action in (True, False):
        overrides = [f"env.obs_last_action={last_action}"]
        kinds = compile_all(smac_config(equivariant=True), overrides=overrides).cfg.policy.model.entities
        assert [k["column"] for k in kinds] == [4, 4 + 3 * 5]
        assert [k["action"] for k in kinds] == [6, None]
        assert [k["last_action"] for k in kinds] == [scenario.obs_size + 6 if last_action else None, None]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["env.open_loop=True"], "policy.model.equivariant .* does not tell which unit is where"),
        (["policy.model.parameter_sharing=type"], "policy.model.equivariant .* parameter_sharing is 'type'"),
        (["policy.model.entities=[]"], "policy.model.entities .* but 3m has"),
        (["policy.model.entity_embed_dim=0"], "policy.model.entity_embed_dim .* out of range"),
    ],
)
def test_combinations_that_cannot_work_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        compile_all(smac_config(equivariant=True), overrides=overrides)


@pytest.mark.parametrize("rules", ["smaclite", "smac"])
@pytest.mark.parametrize("name", ["3s5z", "MMM2"])
def test_units_that_can_be_aimed_at_are_there_and_the_dead_see_nobody(name, rules):
    """All through some battles; whom an agent's actions can name is in reach, and who is in reach can be named."""
    engine = BattleEngine(name, 4, 0, rules=rules)
    kinds = map_info(engine.scenario).entities
    rng, total = np.random.default_rng(0), np.zeros(len(kinds), int)
    engine.reset()
    for _ in range(30):
        mask = engine.action_mask
        engine.step(np.array([[rng.choice(np.flatnonzero(m)) for m in e] for e in mask]))
        for i, kind in enumerate(kinds):
            blocks = engine.agent_state[..., kind.column : kind.column + kind.count * kind.size]
            there = (blocks.reshape(*blocks.shape[:2], kind.count, kind.size) != 0).any(-1)
            assert not there[~engine.alive].any()
            if kind.action is not None:
                names = (engine.agent_state[..., list(kind.named_by)] != 0).any(-1) | (not kind.named_by)
                aimed = engine.action_mask[names][:, kind.action : kind.action + kind.count]
                seen = blocks.reshape(*blocks.shape[:2], kind.count, kind.size)[names]
                near = there[names] & (seen[..., 1] * SIGHT_RANGE <= TARGET_RANGE - 1e-3)
                assert (there[names] | ~aimed).all()  # what can be aimed at is seen
                assert (aimed | ~near).all()  # and what is seen nearby can be aimed at
                total[i] += aimed.sum()
        engine.reset(np.flatnonzero(engine.terminated | engine.truncated))
    assert all(total[i] > 50 for i, kind in enumerate(kinds) if kind.action is not None)
