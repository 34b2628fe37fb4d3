"""The batch that the replay buffer hands to the learner: one fixed schema, stored in a treetensor tree.

This is the only file that imports treetensor. Build a tree once, move it as a whole, and unpack it to plain tensors
before computing: ``agent_state = batch.obs.agent_state``.

Pitfalls of trees: ``len(batch)`` counts keys, ``batch.shape`` is a tree, and assigning to a misspelt field silently
adds it. `validate` catches the last one.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from dimix.errors import BatchError

with warnings.catch_warnings():  # treevalue uses a torch function that has since been renamed
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)  # and treetensor uses a numpy module that has moved
    import treetensor.torch as ttorch
    from treevalue.tree.common import create_storage

#: Field -> (shape letters, dtype). B batch, T steps, T1 = T + 1 rows, A agents, N actions, O agent input, S state,
#: H hidden.
SCHEMA: dict[str, tuple[tuple[str, ...], torch.dtype]] = {
    "obs.agent_state": (("B", "T1", "A", "O"), torch.float32),
    "obs.global_state": (("B", "T1", "S"), torch.float32),
    "obs.action_mask": (("B", "T1", "A", "N"), torch.bool),
    "alive": (("B", "T1", "A"), torch.bool),
    "action": (("B", "T", "A"), torch.int64),
    "reward": (("B", "T"), torch.float32),
    "terminated": (("B", "T"), torch.bool),
    "truncated": (("B", "T"), torch.bool),
    "filled": (("B", "T"), torch.bool),
    "weight": (("B",), torch.float32),
    "hidden_state": (("B", "A", "H"), torch.float32),
    "burnin": (("B",), torch.int64),
}


class EpisodeBatch(ttorch.Tensor):
    """B pieces of episodes, cut to the longest one.

    Attributes:
        obs.agent_state: (B, T+1, A, O) float32, the agents' full input (observation, last action, agent id).
        obs.global_state: (B, T+1, S) float32.
        obs.action_mask: (B, T+1, A, N) bool, True for available actions; at least one per agent.
        alive: (B, T+1, A) bool, agents that still act.
        action: (B, T, A) int64.
        reward: (B, T) float32, team reward.
        terminated: (B, T) bool, the game ended with this step: nothing to bootstrap from.
        truncated: (B, T) bool, the time limit cut the episode after this step: bootstrap from row t+1.
        filled: (B, T) bool, real steps, a prefix of each row.
        weight: (B,) float32, importance weights (ones without priorities).
        hidden_state: (B, A, H) float32, recurrent state before row 0 (zeros at the start of an episode).
        burnin: (B,) int64, leading steps that only warm up the hidden state and have no loss; fewer than the steps of
            the row. Zeros for whole episodes.

    Row t+1 of the observations is what the agents saw after step t. If a piece stops before its episode ends (a
    window), its last step is neither ``terminated`` nor ``truncated``, and its last row is the next step's observation.
    Rows beyond the end of a piece are zero, with action 0 and only action 0 available.
    """


def make_batch(fields: dict[str, Tensor]) -> EpisodeBatch:
    """Put plain tensors, by the dotted names of `SCHEMA`, into a batch without copying.

    Shapes are not checked (see `validate`).

    Raises:
        BatchError: a field is missing or unknown.
    """
    _check_names(fields)
    tree: dict[str, Any] = {"obs": {}}
    for name, value in fields.items():
        branch, _, leaf = name.rpartition(".")
        (tree[branch] if branch else tree)[leaf] = value
    # Not EpisodeBatch(tree): treevalue's constructor formats every leaf as text, 20 ms on a large batch.
    return EpisodeBatch(create_storage(tree))


def batch_fields(batch: EpisodeBatch) -> dict[str, Tensor]:
    """The batch as a flat dict from dotted name to tensor, in order, including unknown fields."""
    flat: dict[str, Tensor] = {}

    def walk(tree: dict[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    walk(batch.json(), "")
    return flat


def cut_steps(batch: EpisodeBatch, start: int, stop: int) -> EpisodeBatch:
    """Steps `start` to `stop` - 1 of every row and the observations after them, without copying.

    Fields without a time axis (weight, hidden state, burn-in) are kept.
    """
    fields = batch_fields(batch)
    ends = {"T": stop, "T1": stop + 1}
    for name, (letters, _) in SCHEMA.items():
        if len(letters) > 1 and letters[1] in ends:
            fields[name] = fields[name][:, start : ends[letters[1]]]
    return make_batch(fields)


def validate(batch: EpisodeBatch) -> None:
    """Check a batch against the schema and the guarantees of `EpisodeBatch`.

    Raises:
        BatchError: the message names the field, what was found and what is right.
    """
    fields = batch_fields(batch)
    _check_names(fields)
    _check_shapes(fields)
    _check_values(fields)


def _check_names(fields: dict[str, Tensor]) -> None:
    missing, unknown = sorted(SCHEMA.keys() - fields.keys()), sorted(fields.keys() - SCHEMA.keys())
    if missing or unknown:
        raise BatchError(f"batch fields: missing {missing}, unknown {unknown}. Right is {', '.join(SCHEMA)}.")


def _check_shapes(fields: dict[str, Tensor]) -> None:
    sizes: dict[str, tuple[int, str]] = {}  # letter -> (size, the field that set it)
    for name, (letters, dtype) in SCHEMA.items():
        value = fields[name]
        if value.dtype != dtype:
            raise BatchError(f"batch field '{name}': dtype {value.dtype}. Right is {dtype}.")
        if value.dim() != len(letters):
            raise BatchError(f"batch field '{name}': shape {tuple(value.shape)}. Right is ({', '.join(letters)}).")
        for letter, size in zip(letters, value.shape, strict=True):
            known, setter = sizes.setdefault(letter, (size, name))
            if size != known:
                raise BatchError(
                    f"batch field '{name}': shape {tuple(value.shape)}, {letter} = {size}. "
                    f"Right is {letter} = {known}, as in '{setter}'."
                )
    steps, rows = sizes["T"][0], sizes["T1"][0]
    if rows != steps + 1:
        raise BatchError(f"batch field 'obs.agent_state': {rows} rows. Right is {steps + 1}, one more than the steps.")


def _check_values(fields: dict[str, Tensor]) -> None:
    filled, mask, action = fields["filled"], fields["obs.action_mask"], fields["action"]
    ended = fields["terminated"] | fields["truncated"]
    burnin = fields["burnin"]
    next_filled = torch.zeros_like(filled)
    next_filled[:, :-1] = filled[:, 1:]
    chosen_ok = (action >= 0) & (action < mask.shape[-1])
    chosen = action.clamp(0, mask.shape[-1] - 1)[..., None]
    chosen_ok &= mask[:, :-1].gather(-1, chosen)[..., 0]
    rules: list[tuple[str, Tensor, str]] = [
        ("filled", next_filled & ~filled, "real steps are a prefix of each row"),
        ("filled", ~filled.any(1, keepdim=True) & torch.ones_like(filled), "every row has at least one real step"),
        ("terminated", fields["terminated"] & fields["truncated"], "a step ends its episode one way only"),
        ("terminated", ended & ~filled, "only real steps end an episode"),
        ("terminated", ended & next_filled, "nothing follows the end of an episode"),
        ("obs.action_mask", ~mask.any(-1), "every agent has at least one available action"),
        ("action", ~chosen_ok & filled[..., None], "the action taken was available"),
        ("burnin", (burnin < 0) | (burnin >= filled.sum(1)), "at least one real step is left for the loss"),
    ]
    finite = ("obs.agent_state", "obs.global_state", "reward", "weight", "hidden_state")
    rules += [(name, ~torch.isfinite(fields[name]), "all values are finite") for name in finite]
    for name, broken, right in rules:
        if bool(broken.any()):
            raise BatchError(f"batch field '{name}': {int(broken.sum())} entries break the rule. Right: {right}.")
