"""Games of an evaluation as files: the same evaluation, the network's own values, errors by name."""

import csv
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dimix.config.compile import compile_all
from dimix.entry import eval_pipeline, replay_pipeline, serial_pipeline
from dimix.entry.checkpoints import load_weights, read_any
from dimix.entry.recording import team_values
from dimix.entry.rooms import make_agent_input, make_policy
from dimix.errors import ConfigError, EnvError, OutputError
from dizoo.smac.battle.recording.replay import load_replay


def train(folder, **options):
    """A run of 300 steps on 3m; what it said."""
    model = dict(hidden_size_list=[16], mixer_embed_dim=8, hypernet_embed_dim=8)
    evaluator = dict(evaluator=dict(eval_freq=2))
    learn, collect = dict(update_per_collect=2, batch_size=4), dict(n_episode=4)
    policy = dict(model=model, learn=learn, collect=collect, eval=evaluator)
    env = dict(
        map_name="3m", collector_env_num=4, evaluator_env_num=3, n_evaluator_episode=3, jitter_eval=dict(n_episode=2)
    )
    main = dict(env=env, policy=policy, run=dict(env_step=300, tensorboard=False))
    create = dict(env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]), policy=dict(type="qmix"))
    said = []
    serial_pipeline((main, create), seed=0, exp_name=str(folder), out=said.append, **options)
    return said


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(folder)
    return folder / "ckpt/final.pth.tar"


def evaluate(checkpoint, **options):
    said = []
    return eval_pipeline(load_path=checkpoint, n_episode=7, out=said.append, **options), said


def test_recorded_evaluation_is_the_same_evaluation(checkpoint, tmp_path):
    plain, _ = evaluate(checkpoint)
    recorded, said = evaluate(checkpoint, replay_path=tmp_path / "games", replay_games=4)
    assert recorded == plain
    names = sorted(p.name.rsplit("_", 1)[0] for p in (tmp_path / "games").iterdir())
    assert names == [f"3m_{start}_00{i}" for start in ("jittered", "nominal") for i in range(4)]
    assert said[-1].startswith("8 games recorded; show one with: dimix -m replay ")


def test_no_more_games_are_recorded_than_are_played(checkpoint, tmp_path):
    evaluate(checkpoint, replay_path=tmp_path, replay_games=50)
    assert len(list(tmp_path.iterdir())) == 14


def test_greedy_actions_have_the_largest_recorded_q(checkpoint, tmp_path):
    """The recorded values are those that the evaluation acted on, up to the three decimals of the file."""
    evaluate(checkpoint, replay_path=tmp_path, replay_games=2)
    for path in tmp_path.iterdir():
        a = load_replay(path).arrays
        alive = a["action"] != 0
        open_q = np.where(a["action_mask"], a["q"], -np.inf)
        chosen = np.take_along_axis(open_q, a["action"][..., None].astype(np.int64), -1)[..., 0]
        assert (chosen[alive] >= open_q.max(-1)[alive] - 0.0011).all()
        assert (a["q"][~alive] == 0).all() and (a["weight"][~alive] == 0).all()
        assert (a["weight"] >= 0).all() and a["weight"].max() > 0  # monotonic mixer
        assert load_replay(path).header["info"]["policy"] == "qmix"


def test_recorded_q_are_those_that_the_network_gives_for_the_recorded_game(checkpoint, tmp_path):
    """A second way to the same numbers: the whole game unrolled from what the agents saw."""
    evaluate(checkpoint, replay_path=tmp_path, replay_games=1)
    content = read_any(checkpoint)
    compiled = compile_all((content["config"]["main"], content["config"]["create"]))
    policy = make_policy(compiled)
    load_weights(policy, checkpoint, compiled)
    for path in tmp_path.iterdir():
        a = load_replay(path).arrays
        action = a["action"].astype(np.int64)
        last = np.vstack([np.full_like(action[:1], -1), action[:-1]])
        state = torch.from_numpy(make_agent_input(compiled).build(a["obs"], last))
        with torch.no_grad():
            q = policy.eval_model.unroll(state.unsqueeze(0))[0][0].numpy()
        alive = action != 0
        np.testing.assert_allclose(q[alive], a["q"][alive], atol=0.01)


def test_team_values_are_those_of_the_mixer():
    """A mixer by hand: q_tot = 3 q0 + 5 q1 + state; in the first game agent 1 is dead in the second step."""

    class Network:
        def mix(self, q, global_state):
            return 3 * q[:, 0] + 5 * q[:, 1] + global_state[:, 0]

    class Player:
        eval_model, device = Network(), torch.device("cpu")

    first = SimpleNamespace(
        q=np.array([[[2, 4], [6, 8]], [[10, 12], [0, 0]]], np.float32),
        global_state=np.array([[100], [200]], np.float32),
        action=np.array([[1, 0], [0, 0]]),
        alive=np.array([[True, True], [True, False]]),
    )
    second = SimpleNamespace(
        q=np.array([[[1, 2], [3, 4]]], np.float32),
        global_state=np.array([[50]], np.float32),
        action=np.array([[0, 1]]),
        alive=np.array([[True, True]]),
    )
    values = team_values(Player(), [first, second])
    assert [v["q_tot"].tolist() for v in values] == [[3 * 4 + 5 * 6 + 100, 3 * 10 + 200], [3 * 1 + 5 * 4 + 50]]
    assert [v["weight"].tolist() for v in values] == [[[3, 5], [3, 0]], [[3, 5]]]
    assert team_values(Player(), []) == []
    Network.mix = lambda self, q, global_state: q  # independent learners
    assert team_values(Player(), [first]) == [{}]
    Network.mixer_reads = frozenset({"best"})  # of which a game tells nothing
    assert team_values(Player(), [first]) == [{}]
    second.q = None
    assert team_values(Player(), [second]) == [{}]
    Player.eval_model = object()
    assert team_values(Player(), [first]) == [{}]


def test_environment_without_replays(game_config, tmp_path):
    run = tmp_path / "run"
    serial_pipeline(game_config(), seed=0, exp_name=str(run), out=lambda text: None)
    with pytest.raises(ConfigError, match=r"two_step \(MatrixGameEnv\) has no replays. Leave the recording out"):
        evaluate(run / "ckpt/final.pth.tar", replay_path=tmp_path / "games")


def test_folder_that_cannot_be_made(checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"folder of recorded games .*file/games: Not a directory. It must be"):
        evaluate(checkpoint, replay_path=tmp_path / "file/games")


def test_replay_pipeline_shows_the_games(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, replay_path=tmp_path, replay_games=1)
    files = sorted(tmp_path.glob("*.replay"))
    replay_pipeline(files, tmp_path / "games.html")
    assert capsys.readouterr().out.endswith("kB, 2 games\n")
    assert (tmp_path / "games.html").read_text().count('class="game"') == 2
    with pytest.raises(EnvError, match=r"-o games.txt: ending '.txt'. Right is one of .html, .png, .gif, .mp4"):
        replay_pipeline(files, "games.txt")


def course(folder):
    """All metrics of a run but those that clocks give, and the networks at its end."""
    with open(folder / "log/metrics.csv", newline="") as f:
        rows = [{k: v for k, v in row.items() if not k.startswith(("speed", "time"))} for row in csv.DictReader(f)]
    return rows, read_any(folder / "ckpt/final.pth.tar")["rooms"]["policy"]


def recorded(folder):
    return {path.name: path.read_bytes() for path in (folder / "replays").iterdir()}


def same(a, b):
    """Whether two nested states are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def test_every_kth_evaluation_of_a_training_is_recorded_and_changes_nothing(tmp_path):
    train(tmp_path / "plain")
    said = train(tmp_path / "run", overrides=["env.replay.every=2", "env.replay.n_episode=5"])
    rows, weights = course(tmp_path / "run")
    assert rows == course(tmp_path / "plain")[0] and same(weights, course(tmp_path / "plain")[1])
    evaluations = [int(row["env_step"]) for row in rows if row["eval/ep_reward"]]
    assert len(evaluations) >= 4
    pattern = re.compile(r"3m_step(\d{9})_(nominal|jittered)_00(\d)_(won|lost).replay")
    names = [pattern.fullmatch(name) for name in recorded(tmp_path / "run")]
    found = sorted((int(m.group(1)), m.group(2), int(m.group(3))) for m in names)
    games = [("jittered", i) for i in range(2)] + [("nominal", i) for i in range(3)]  # no more than are played
    assert found == [(step, *game) for step in evaluations[::2] for game in games]
    assert not (tmp_path / "plain/replays").exists()
    text = said[-1]
    last = sorted(recorded(tmp_path / "run"))[-1]
    assert f"{len(found)} games recorded during training" in text
    assert f"dimix -m replay {tmp_path}/run/replays/{last} -o game.html" in text
    header = load_replay(tmp_path / "run/replays" / last).header
    assert header["info"] == {
        "policy": "qmix", "trained": f"seed 0, {found[-1][0]} env steps", "start": "nominal"
    }  # fmt: skip


def test_resumed_training_records_what_it_would_have_recorded(tmp_path):
    wanted = ["env.replay.every=2"]
    train(tmp_path / "whole", overrides=wanted)
    train(tmp_path / "run", overrides=wanted, env_step=150)
    serial_pipeline(None, resume=tmp_path / "run", env_step=300, out=lambda text: None)
    whole, resumed = recorded(tmp_path / "whole"), recorded(tmp_path / "run")
    assert whole.keys() <= resumed.keys()  # the first part also evaluated where it ended
    assert all(resumed[name] == content for name, content in whole.items())


def test_keys_of_recording_are_checked(tmp_path):
    with pytest.raises(ConfigError, match=r"env.replay.every .in -o.: -1 is out of range. Use an int >= 0"):
        train(tmp_path / "run", overrides=["env.replay.every=-1"])


def test_environment_without_replays_is_refused_before_training(tmp_path):
    backend = ["env.backend=sc2", "env.sc2.env_class=dizoo.smac.envs:StarCraft2Env", "env.manager.type=base"]
    with pytest.raises(ConfigError, match=r"env.replay.every: 1, but 3m \(GameVecEnv\) has no replays. Use 0"):
        train(tmp_path / "run", overrides=[*backend, "env.replay.every=1"])
    assert not (tmp_path / "run/log/metrics.csv").exists()
