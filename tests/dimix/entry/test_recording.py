"""Games of an evaluation as files: the same evaluation, the network's own values, errors by name."""

import numpy as np
import pytest
import torch

from dimix.entry import eval_pipeline, replay_pipeline, serial_pipeline
from dimix.errors import ConfigError, EnvError, OutputError
from dizoo.smac.battle.replay import load_replay


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    model = dict(hidden_size_list=[16], mixer_embed_dim=8, hypernet_embed_dim=8)
    policy = dict(model=model, learn=dict(update_per_collect=2, batch_size=4), collect=dict(n_episode=4))
    env = dict(
        map_name="3m", collector_env_num=4, evaluator_env_num=3, n_evaluator_episode=3, jitter_eval=dict(n_episode=2)
    )
    main = dict(env=env, policy=policy, run=dict(env_step=300, tensorboard=False))
    create = dict(env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]), policy=dict(type="qmix"))
    serial_pipeline((main, create), seed=0, exp_name=str(folder), out=lambda text: None)
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


def test_values_are_those_of_the_network():
    """A network by hand: q = 2 x obs, the team's value 3 q0 + 5 q1; agent 1 is dead in the second step."""
    from dimix.entry.recording import game_values
    from dimix.envs.agent_input import AgentInput

    class Network:
        def unroll(self, agent_state, hidden, valid):
            assert hidden is None
            return torch.where(valid.unsqueeze(-1), 2 * agent_state, 0.0), None

        def mix(self, q, global_state):
            return 3 * q[:, 0] + 5 * q[:, 1] + global_state[:, 0]

    class Player:
        eval_model, device = Network(), torch.device("cpu")

    obs = np.array([[[1, 2], [3, 4]], [[5, 6], [0, 0]]], np.float32)
    values = game_values(
        Player(),
        AgentInput(2, 2, 2, last_action=False, agent_id=False),
        obs,
        np.array([[100], [200]], np.float32),
        np.array([[1, 0], [0, 0]]),
        np.array([[True, True], [True, False]]),
    )
    assert values["q"].tolist() == [[[2, 4], [6, 8]], [[10, 12], [0, 0]]]
    assert values["q_tot"].tolist() == [3 * 4 + 5 * 6 + 100, 3 * 10 + 200]
    assert values["weight"].tolist() == [[3, 5], [3, 0]]


def test_environment_without_replays(game_config, tmp_path):
    run = tmp_path / "run"
    serial_pipeline(game_config(), seed=0, exp_name=str(run), out=lambda text: None)
    with pytest.raises(ConfigError, match=r"--replay-path: two_step \(MatrixGameEnv\) has no replays"):
        evaluate(run / "ckpt/final.pth.tar", replay_path=tmp_path / "games")


def test_folder_that_cannot_be_made(checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"--replay-path .*file/games: Not a directory. Give a folder"):
        evaluate(checkpoint, replay_path=tmp_path / "file/games")


def test_replay_pipeline_shows_the_games(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, replay_path=tmp_path, replay_games=1)
    files = sorted(tmp_path.glob("*.replay"))
    replay_pipeline(files, tmp_path / "games.html")
    assert capsys.readouterr().out.endswith("kB, 2 games\n")
    assert (tmp_path / "games.html").read_text().count('class="game"') == 2
    with pytest.raises(EnvError, match=r"-o games.txt: ending '.txt'. Right is one of .html, .png, .gif, .mp4"):
        replay_pipeline(files, "games.txt")
