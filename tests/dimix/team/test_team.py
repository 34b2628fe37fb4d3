"""A team outside of training plays as its network does in torch: every kind of agent, all at once or each alone."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from easydict import EasyDict

import dimix
from dimix.config.checks import DERIVED
from dimix.entry.export_pipeline import npz_steps, onnx_steps
from dimix.envs.agent_input import AgentInput
from dimix.envs.vec_env import Entities, EnvInfo
from dimix.errors import CheckpointError
from dimix.machine.checkpoint_file import save_checkpoint
from dimix.model import QMix, WQMix
from dimix.policy import QMIXPolicy
from dimix.registry import MODEL_REGISTRY, POLICY_REGISTRY
from dimix.team import Team, load_team, runner
from dimix.team.onnx import write_onnx
from dimix.team.trained import network_of, team_of

AGENTS, OBS, ACTIONS, STEPS = 3, 24, 9, 40
#: Three enemies of four features, named by actions 6 to 8 of agents whose column 20 is set, and two allies of three.
ENTITIES = (Entities(2, 3, 4, 6, (20,)), Entities(14, 2, 3))
HERE = Path("run/ckpt/best.pth.tar")
KINDS = {
    "flat": {},
    "two layers": dict(rnn_layers=2, hidden_size_list=[6, 8], dueling=True, layer_norm=True),
    "lstm": dict(lstm_type="lstm"),
    "stacked lstm": dict(lstm_type="normal", rnn_layers=2, dueling=True),
    "no memory": dict(lstm_type="mlp", layer_norm=True),
    "equivariant": dict(equivariant=True, entity_embed_dim=5, hidden_size_list=[6, 8]),
    "equivariant, dueling": dict(equivariant=True, entity_embed_dim=5, dueling=True, layer_norm=True, lstm_type="lstm"),
    "any size": dict(equivariant=True, any_size=True, entity_embed_dim=5, dueling=True),
    "hypernet": dict(equivariant=True, entity_net="hypernet", entity_embed_dim=5, hidden_size_list=[6, 8]),
    "hypernet, heads": dict(
        equivariant=True, entity_net="hypernet", entity_heads=3, entity_embed_dim=5, dueling=True, layer_norm=True
    ),
    "groups": dict(parameter_sharing="none", dueling=True),
    "types": dict(parameter_sharing="type"),
    "layers of groups": dict(parameter_sharing="groups", agent_groups=[[0, 2], [1]], rnn_layers=2, layer_norm=True),
    "lstm groups": dict(parameter_sharing="none", lstm_type="lstm"),
    "groups without memory": dict(parameter_sharing="none", lstm_type="mlp"),
}
of_every_kind = pytest.mark.parametrize("model", KINDS.values(), ids=KINDS.keys())


def trained(model, last_action=True, agent_id=True):
    """Content of a checkpoint with random weights, as a run would have written it; and its network."""
    torch.manual_seed(0)
    info = EnvInfo("toy", AGENTS, OBS, 7, ACTIONS, 50, agent_types=("a", "b", "a"), entities=ENTITIES)
    main = dict(
        seed=3,
        env=dict(obs_last_action=last_action, obs_agent_id=agent_id),
        policy=dict(model={"hidden_size_list": [8], **model}, learn=dict(average_theta=0.005)),
    )
    sizes = {key.rpartition(".")[2]: f(EasyDict(main), info) for key, f in DERIVED.items() if ".model." in key}
    network = QMix(**{**main["policy"]["model"], **sizes})
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)  # so that values differ between actions, and gates are not all half open
    learn = dict(model={k: torch.zeros_like(v) for k, v in network.state_dict().items()})
    learn["averaged_model"] = network.state_dict()  # evaluations play with these
    create = dict(policy=dict(type="qmix", import_names=[]))
    content = dict(kind="policy", config=dict(main=main, create=create), env=asdict(info), inputs={})
    return {**content, "rooms": dict(policy=dict(learn=learn)), "env_step": 7}, network


def episode():
    """Random observations (T, A, O) in which some units are not there, and masks (T, A, N)."""
    rng = np.random.default_rng(1)
    obs = rng.standard_normal((STEPS, AGENTS, OBS)).astype(np.float32)
    for kind in ENTITIES:
        columns = slice(kind.column, kind.column + kind.count * kind.size)
        obs[..., columns] *= np.repeat(rng.random((STEPS, AGENTS, kind.count)) < 0.6, kind.size, -1)
    obs[:, 1, 20] = 0  # an agent whose actions name no enemies
    mask = rng.random((STEPS, AGENTS, ACTIONS)) < 0.5
    there = obs[..., 2:14].reshape(STEPS, AGENTS, 3, 4).any(-1)
    mask[..., 6:] &= there & (obs[..., 20:21] != 0)  # only units that are there, by those who name any
    mask[..., 0] |= ~mask.any(-1)
    return obs, mask


@torch.no_grad()
def played_by_torch(network, last_action=True, agent_id=True):
    """(first, obs, mask, action, q) of each step of the episode."""
    obs, mask = episode()
    joined = AgentInput(OBS, ACTIONS, AGENTS, last_action, agent_id)
    hidden, last = network.init_hidden(1), np.full((1, AGENTS), -1)
    for t in range(STEPS):
        q, hidden = network.forward_step(torch.from_numpy(joined.build(obs[t][None], last)), hidden)
        last = np.where(mask[t], q.numpy(), -np.inf).argmax(-1)
        yield t == 0, obs[t], mask[t], last[0], q[0].numpy()


def assert_plays_alike(play, network, **given):
    actions = set()
    for first, obs, mask, action, q in played_by_torch(network, **given):
        ours, values = play(first, obs, mask)
        np.testing.assert_allclose(values, q, atol=1e-5, rtol=1e-5)
        np.testing.assert_array_equal(ours, action)
        actions |= set(ours.tolist())
    assert len(actions) > 3, "a comparison of teams that always do the same shows little"


def in_memory(team):
    def play(first, obs, mask):
        if first:
            team.reset()
        return team.act(obs, mask), team.q

    return play


@of_every_kind
def test_a_team_plays_as_in_torch(model):
    content, network = trained(model)
    assert_plays_alike(in_memory(team_of(content, HERE)), network)


@pytest.mark.parametrize(
    "given", [dict(last_action=False), dict(agent_id=False), dict(last_action=False, agent_id=False)]
)
@pytest.mark.parametrize("kind", ["flat", "equivariant"])
def test_the_input_is_what_the_config_says(kind, given):
    content, network = trained(KINDS[kind], **given)
    assert_plays_alike(in_memory(team_of(content, HERE)), network, **given)


@of_every_kind
def test_agents_alone_play_as_in_the_team_and_see_their_own_row_only(model):
    content, _ = trained(model)
    team = team_of(content, HERE)
    agents = team.agents
    for obs, mask in zip(*episode(), strict=True):
        together = team.act(obs, mask)
        alone = [agent.act(obs[k], mask[k]) for k, agent in enumerate(agents)]
        assert alone == together.tolist()
        np.testing.assert_allclose(np.concatenate([agent.q for agent in agents]), team.q, atol=2e-5)


def test_reset_begins_a_new_episode():
    team = team_of(trained({})[0], HERE)
    obs, mask = episode()
    first = [team.act(o, m).tolist() for o, m in zip(obs, mask, strict=True)]
    assert [team.act(o, m).tolist() for o, m in zip(obs, mask, strict=True)] != first
    team.reset()
    assert [team.act(o, m).tolist() for o, m in zip(obs, mask, strict=True)] == first


@of_every_kind
def test_a_saved_team_plays_alike(model, tmp_path):
    content, network = trained(model)
    team_of(content, HERE).save(tmp_path / "team.npz")
    assert_plays_alike(npz_steps(tmp_path / "team.npz"), network)
    assert load_team(tmp_path / "team.npz").header == team_of(content, HERE).header


@pytest.mark.parametrize("kind", ["equivariant", "hypernet, heads", "groups without memory"])
def test_onnx_plays_alike(kind, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    content, network = trained(KINDS[kind])
    path = tmp_path / "team.onnx"
    write_onnx(network_of(content, HERE), team_of(content, HERE).header, path)
    assert_plays_alike(onnx_steps(path), network)


def test_the_runner_needs_numpy_and_nothing_else(tmp_path):
    content, network = trained({})
    team_of(content, HERE).save(tmp_path / "team.npz")
    shutil.copy(runner.__file__, tmp_path / "dimix_team.py")
    np.savez(tmp_path / "episode.npz", *episode())
    (tmp_path / "play.py").write_text(
        "import json, sys, numpy as np\n"
        "from dimix_team import Team\n"
        "team, game = Team.load('team.npz'), np.load('episode.npz')\n"
        "acts = [team.act(o, m).tolist() for o, m in zip(game['arr_0'], game['arr_1'])]\n"
        "print(json.dumps([acts, [m for m in ('torch', 'numba', 'dimix') if m in sys.modules]]))\n"
    )
    done = subprocess.run([sys.executable, "play.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    actions, imported = json.loads(done.stdout)
    assert imported == []
    assert actions == [action.tolist() for _, _, _, action, _ in played_by_torch(network)]


def test_loading_imports_nothing_of_training(tmp_path):
    save_checkpoint(tmp_path / "best.pth.tar", trained({})[0])
    code = (
        "import sys, dimix; assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "team = dimix.load_team('best.pth.tar'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    layers = {
        name.partition("dimix.")[2].partition(".")[0] for name in done.stdout.split() if name.startswith("dimix.")
    }
    assert "team" in layers
    assert not layers & {"policy", "worker", "replay", "entry", "callbacks"} and "dizoo" not in done.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda obs, mask: (obs[:2], mask), r"obs has shape \(2, 24\). Right is \(3, 24\)."),
        (lambda obs, mask: (obs, mask[:, :4]), r"action_mask has shape \(3, 4\). Right is \(3, 9\)."),
        (lambda obs, mask: (obs, mask & (np.arange(3) != 1)[:, None]), "action_mask: agent 1 has no available action."),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    obs, mask = episode()
    with pytest.raises(ValueError, match=message):
        team_of(trained({})[0], HERE).act(*change(obs[0], mask[0]))


def test_files_that_are_no_teams(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CheckpointError, match="array.npz: not a team."):
        load_team(tmp_path / "array.npz")
    with pytest.raises(CheckpointError, match="other.npz: not a team. Right is a file that dimix -m export wrote."):
        load_team(tmp_path / "other.npz")
    with pytest.raises(CheckpointError, match="no checkpoint nowhere.pth.tar."):
        dimix.load_team("nowhere.pth.tar")
    with pytest.raises(ValueError, match="version 9. This file reads up to 2"):
        Team({**team_of(trained({})[0], HERE).header, "version": 9}, {})
    content, _ = trained({})
    content["config"]["main"]["policy"]["model"]["hidden_size_list"] = [9]
    with pytest.raises(CheckpointError, match="its agents are not those of its config: .*size mismatch"):
        team_of(content, HERE)


@pytest.fixture
def own_module(monkeypatch):
    """Registers a policy 'mine' and a model 'mine' of a user's module."""
    name = "my_own_teams"
    monkeypatch.setitem(sys.modules, name, type(sys)(name))
    for registry in (POLICY_REGISTRY, MODEL_REGISTRY):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))

    def register(policy, model):
        POLICY_REGISTRY._classes["mine"], MODEL_REGISTRY._classes["mine"] = policy, model
        content, _ = trained(dict(type="mine"))
        content["config"]["create"]["policy"] = dict(type="mine", import_names=[name])
        return content

    return register


def test_own_classes_that_act_as_usual_are_played(own_module):
    class Mine(QMIXPolicy):
        def _loss_weight(self, batch, td_error):
            return None

    content = own_module(Mine, WQMix)
    assert_plays_alike(in_memory(team_of(content, HERE)), trained({})[1])


def test_own_classes_that_act_in_their_own_way_are_refused(own_module):
    class Hasty(QMIXPolicy):
        def _forward_eval(self, obs, hidden_state, epsilon=0.0):
            return super()._forward_eval(obs, hidden_state, 0.1)

    class Doubled(QMix):
        def forward_step(self, agent_state, hidden):
            return super().forward_step(2 * agent_state, hidden)

    with pytest.raises(
        CheckpointError, match="Hasty acts in its own way .*subclass of ValuePolicy that leaves _forward_eval"
    ):
        team_of(own_module(Hasty, QMix), HERE)
    with pytest.raises(
        CheckpointError, match="Doubled acts in its own way .*subclass of QMix that leaves forward_step"
    ):
        team_of(own_module(QMIXPolicy, Doubled), HERE)
