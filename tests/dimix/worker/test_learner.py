"""The learner: batch in, metrics out, averaged over the updates made."""

import pytest

from dimix.errors import TrainingError
from dimix.policy.base import LearnMode
from dimix.replay.buffer import ReplayBuffer
from dimix.worker.collector import Collector
from dimix.worker.learner import Learner


class Tape:
    """A policy that reports the steps it was given and the number of the update."""

    def __init__(self, fail_at=None):
        self.steps = []
        self.fail_at = fail_at

    def forward(self, batch):
        self.steps.append(int(batch.filled.sum()))
        if len(self.steps) == self.fail_at:
            raise TrainingError("loss is not a number")
        return {"loss": float(len(self.steps)), "steps": float(self.steps[-1]), "unwatched": object()}

    def mode(self):
        return LearnMode(self.forward, dict, lambda state: None, lambda: ["loss", "steps"])


@pytest.fixture
def buffer(toy_env, toy_policy, toy_input):
    env = toy_env(4)
    buffer = ReplayBuffer(50, env.info, toy_input, (3, 3))
    Collector(env, toy_policy().mode, buffer, toy_input).collect(n_episode=10)
    return buffer


def test_metrics_are_means_over_the_updates(buffer):
    tape = Tape()
    learner = Learner(tape.mode(), buffer, batch_size=4)
    metrics = learner.train(3)
    assert metrics == {"loss": 2.0, "steps": sum(tape.steps) / 3}  # losses 1, 2, 3
    assert learner.train(1)["loss"] == 4.0
    assert learner.train_iter == 4
    assert learner.sampled_steps == sum(tape.steps)


def test_waits_for_a_full_batch(buffer):
    learner = Learner(Tape().mode(), buffer, batch_size=len(buffer) + 1)
    assert learner.train(5) == {}
    assert learner.train_iter == 0


def test_counters_round_trip(buffer):
    learner, other = (Learner(Tape().mode(), buffer, 4) for _ in range(2))
    learner.train(2)
    other.load_state_dict(learner.state_dict())
    assert (other.train_iter, other.sampled_steps) == (learner.train_iter, learner.sampled_steps)


def test_the_batch_that_broke_training_is_kept(buffer):
    tape = Tape(fail_at=2)
    learner = Learner(tape.mode(), buffer, 4)
    with pytest.raises(TrainingError, match="loss is not a number"):
        learner.train(5)
    assert int(learner.last_batch.filled.sum()) == tape.steps[-1]
    assert learner.train_iter == 1
