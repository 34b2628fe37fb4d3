"""Random batches that cover everything a batch can contain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dimix.replay.batch import EpisodeBatch, batch_fields, make_batch, validate


def random_batch(
    rng: np.random.Generator,
    lengths: Sequence[int],
    ends: Sequence[str],
    *,
    steps: int | None = None,
    agents: int = 3,
    actions: int = 5,
    obs: int = 7,
    state: int = 6,
    hidden: int = 8,
    dtype: torch.dtype = torch.float32,
) -> EpisodeBatch:
    """Random episodes; agents die at random times, and about half of the actions are masked.

    Args:
        rng: random generator.
        lengths: steps of each episode (B).
        ends: how each ends (B): ``"terminated"``, ``"truncated"``, or ``"cut"`` if it continues after the batch.
        steps: steps of the batch (T), including padding; None uses the longest episode.
        agents: A.
        actions: N.
        obs: O.
        state: S.
        hidden: H.
        dtype: dtype of all floats; only float32 makes a valid batch.
    """
    batch = len(lengths)
    steps = max(lengths) if steps is None else steps
    filled = np.arange(steps)[None] < np.array(lengths)[:, None]
    rows = np.arange(steps + 1)[None] <= np.array(lengths)[:, None]
    death = rng.integers(1, steps + 4, (batch, 1, agents))
    alive = (np.arange(steps + 1)[None, :, None] < death) & rows[..., None]
    mask = rng.random((batch, steps + 1, agents, actions)) < 0.6
    mask[..., 0] = ~alive | ~mask[..., 1:].any(-1)
    mask[~alive] = np.arange(actions) == 0
    action = (mask[:, :-1] * rng.random((batch, steps, agents, actions))).argmax(-1)
    last = np.arange(steps)[None] == np.array(lengths)[:, None] - 1
    ended = {k: last & (np.array(ends) == k)[:, None] for k in ("terminated", "truncated")}
    values = {
        "obs.agent_state": rng.standard_normal((batch, steps + 1, agents, obs)) * rows[..., None, None],
        "obs.global_state": rng.standard_normal((batch, steps + 1, state)) * rows[..., None],
        "reward": rng.standard_normal((batch, steps)) * filled,
        "weight": np.ones(batch),
        "hidden_state": np.zeros((batch, agents, hidden)),
    }
    fields = {k: torch.from_numpy(v).to(dtype) for k, v in values.items()}
    masks = {"obs.action_mask": mask, "alive": alive, "action": action, "filled": filled, **ended}
    fields.update({k: torch.from_numpy(v) for k, v in masks.items()}, burnin=torch.zeros(batch, dtype=torch.int64))
    made = make_batch(fields)
    if dtype == torch.float32:
        validate(made)
    return made


def padded(batch: EpisodeBatch, steps: int) -> EpisodeBatch:
    """The batch with this many more unfilled steps at the end, which contain noise."""
    longer = {}
    for name, value in batch_fields(batch).items():
        if value.dim() > 1 and name != "hidden_state":
            noise = torch.randn(value.shape[0], steps, *value.shape[2:])
            pad = noise.to(value.dtype) if value.is_floating_point() else torch.zeros_like(noise, dtype=value.dtype)
            if name == "obs.action_mask":
                pad[..., 0] = True
            value = torch.cat([value, pad], 1)
        longer[name] = value
    return make_batch(longer)


def selected(batch: EpisodeBatch, rows: np.ndarray) -> EpisodeBatch:
    """These rows of the batch (K,) int64, some maybe several times."""
    index = torch.from_numpy(rows)
    return make_batch({name: value[index] for name, value in batch_fields(batch).items()})


def reordered(batch: EpisodeBatch, order: Sequence[int]) -> EpisodeBatch:
    """The batch with its agents in another order: agent ``order[i]`` becomes agent i."""
    axis = {"obs.agent_state": 2, "obs.action_mask": 2, "alive": 2, "action": 2, "hidden_state": 1}
    index = torch.tensor(list(order))
    fields = batch_fields(batch)
    return make_batch({n: v.index_select(axis[n], index) if n in axis else v for n, v in fields.items()})
