"""From agents' values to a team value: one class per mixer, by name in `MIXER_REGISTRY`.

A mixer is passed exactly the arguments that its constructor and its ``forward`` name:

- constructor: any of ``agent_num`` (A), ``state_dim`` (S), ``action_shape`` (N), ``feature_dim`` (F), the keys of
  ``policy.model`` that mixers share (``mixer_embed_dim``, here ``embed_dim``, ``hypernet_embed_dim``,
  ``hypernet_layers``), ``state_entities`` (the layout of the state; a mixer that names it is refused where there is
  none), and its own keys, listed with their comments in its ``config`` dict. A mixer without ``state_dim`` does not
  read the state.
- ``forward(q, global_state)``: (R, A) and (R, S) -> (R,), and any of these keyword-only arguments: ``action``, (R, A)
  int64, the actions that q is the value of; ``best``, (R, A), the network's values of the best available actions;
  ``features``, (R, A, F), the inputs of the agents' heads. ``q`` and ``best`` of a masked dead agent are 0.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


@functools.cache
def arguments(function: Callable[..., Any]) -> frozenset[str]:
    """Names of a function's arguments."""
    return frozenset(inspect.signature(function).parameters)
