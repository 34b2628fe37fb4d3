"""From agents' values to a team value: one class per mixer, found by name in `MIXER_REGISTRY`.

A mixer names what it needs, in its constructor and in its ``forward``, and gets that and nothing else:

- constructor: any of ``agent_num`` (A), ``state_dim`` (S), ``action_shape`` (N), ``feature_dim`` (F), the keys of
  ``policy.model`` that all mixers share (``embed_dim``, which is ``mixer_embed_dim`` there, ``hypernet_embed_dim``,
  ``hypernet_layers``), and keys of its own, which stand with their comments in its dict ``config``. One without
  ``state_dim`` does not read the state.
- ``forward(q, global_state)``: (R, A) and (R, S) -> (R,); and as keyword-only arguments any of ``action``, (R, A)
  int64, which q is the value of; ``best``, (R, A), the same network's values of the best available actions; and
  ``features``, (R, A, F), what the agents' heads read. A dead agent's ``q`` and ``best`` are 0 unless it counts.
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
