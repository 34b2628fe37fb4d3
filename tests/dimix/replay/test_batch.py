"""The batch schema: what is a valid batch, and what is said about one that is not."""

import pytest
import torch

from dimix.errors import BatchError
from dimix.replay.batch import SCHEMA, EpisodeBatch, batch_fields, make_batch, validate

SIZES = dict(B=2, T=3, T1=4, A=2, N=3, O=5, S=4, H=6)


def plain_fields() -> dict[str, torch.Tensor]:
    """Two episodes of 3 and 2 steps; the first is cut by the time limit, the second ends by itself."""
    fields = {name: torch.zeros([SIZES[x] for x in letters], dtype=dtype) for name, (letters, dtype) in SCHEMA.items()}
    fields["obs.action_mask"][..., 0] = True
    fields["obs.action_mask"][0, 1, 1, 2] = True
    fields["action"][0, 1, 1] = 2
    fields["obs.action_mask"][1, 2, 0] = torch.tensor([False, True, True])  # row behind an end: its action 0 is padding
    fields["filled"][0, :3] = True
    fields["filled"][1, :2] = True
    fields["truncated"][0, 2] = True
    fields["terminated"][1, 1] = True
    fields["weight"][:] = 1
    return fields


def test_batch_keeps_the_tensors_it_is_given():
    fields = plain_fields()
    batch = make_batch(fields)
    assert isinstance(batch, EpisodeBatch)
    assert batch.obs.agent_state is fields["obs.agent_state"]
    assert batch.alive.shape == (2, 4, 2)
    assert set(batch_fields(batch)) == set(SCHEMA)
    validate(batch)


def test_batch_moves_and_indexes_whole():
    batch = make_batch(plain_fields()).to("cpu")
    assert isinstance(batch, EpisodeBatch)
    assert batch[1:].obs.agent_state.shape == (1, 4, 2, 5)
    assert batch[1:].filled.tolist() == [[True, True, False]]


def test_missing_and_unknown_fields_are_named():
    fields = plain_fields()
    del fields["reward"]
    with pytest.raises(BatchError, match=r"missing \['reward'\], unknown \[\]"):
        make_batch(fields)
    batch = make_batch(plain_fields())
    batch.rewards = torch.zeros(2, 3)  # a tree takes any name silently
    with pytest.raises(BatchError, match=r"unknown \['rewards'\]"):
        validate(batch)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("reward", torch.zeros(2, 3, dtype=torch.float64), r"'reward': dtype torch.float64. Right is torch.float32"),
        ("reward", torch.zeros(2, 3, 1), r"'reward': shape \(2, 3, 1\). Right is \(B, T\)"),
        ("alive", torch.zeros(2, 4, 7, dtype=torch.bool), r"'alive': shape \(2, 4, 7\), A = 7. Right is A = 2"),
        ("reward", torch.zeros(2, 4), r"'reward': shape \(2, 4\), T = 4. Right is T = 3, as in 'action'"),
        ("reward", torch.full((2, 3), torch.nan), r"'reward': 6 entries break the rule. Right: all values are finite"),
        ("burnin", torch.tensor([2, 2]), r"'burnin': 1 entries break the rule. Right: at least one real step is left"),
        ("burnin", torch.tensor([-1, 0]), r"'burnin': 1 entries break the rule. Right: at least one real step is left"),
    ],
)
def test_wrong_fields_are_described(name, value, message):
    fields = plain_fields()
    fields[name] = value
    with pytest.raises(BatchError, match=message):
        validate(make_batch(fields))


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("filled", (1, 0), False, "real steps are a prefix"),
        ("filled", (1, slice(None)), False, "every row has at least one real step"),
        ("truncated", (1, 1), True, "one way only"),
        ("truncated", (1, 2), True, "only real steps end"),
        ("terminated", (1, 0), True, "nothing follows the end"),
        ("obs.action_mask", (1, 3, 0, 0), False, "at least one available action"),
        ("action", (0, 0, 0), 1, "the action taken was available"),
        ("action", (0, 0, 0), -1, "the action taken was available"),
        ("action", (0, 0, 0), 3, "the action taken was available"),
    ],
)
def test_broken_promises_are_found(name, index, value, message):
    fields = plain_fields()
    fields[name][index] = value
    with pytest.raises(BatchError, match=message):
        validate(make_batch(fields))
