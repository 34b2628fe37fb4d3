"""A game and its file."""

from pathlib import Path

import numpy as np
import pytest

from dizoo.smac.battle import BattleEngine
from dizoo.smac.battle.recording.recorder import BattleRecorder

TRACES = Path(__file__).resolve().parents[3] / "data/traces"


@pytest.fixture(scope="session")
def recorded():
    """A random game on MMM, recorded with ticks."""
    engine = BattleEngine("MMM", 1, 5, num_threads=1)
    found = []
    recorder = BattleRecorder(engine, 1, found.append)
    recorder.reset()
    rng = np.random.default_rng(0)
    while not found:
        recorder.step(np.where(engine.action_mask, rng.random(engine.action_mask.shape), -1).argmax(-1))
    return found[0]


@pytest.fixture(scope="session")
def replay_file(recorded, tmp_path_factory):
    """Its file, with q-values made up: q = action + 0.1 * agent."""
    steps, agents = recorded.action.shape
    actions = len(recorded.replay.header["action_names"])
    q = np.zeros((steps, agents, actions), np.float32) + np.arange(actions) + 0.1 * np.arange(agents)[:, None]
    values = {
        "q": q,
        "q_tot": np.linspace(5, 0, steps, dtype=np.float32),
        "weight": np.ones((steps, agents), np.float32),
    }
    path = tmp_path_factory.mktemp("replays") / "MMM_000.replay"
    path.write_bytes(recorded.content(values, {"policy": "made up"}))
    return path


@pytest.fixture
def trace_file():
    """A recorded game of the reference."""
    return TRACES / "mmm__focus-eps10__s202.npz"
