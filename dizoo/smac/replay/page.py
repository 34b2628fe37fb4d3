"""Builds one self-contained browser page with the games and their viewer; it works offline and runs no other code.

The games are embedded as base64 in the replay layout, so their texts never become part of the page's markup; the script
inserts names only as text.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from importlib import resources

import numpy as np

from dizoo.smac.battle.kernels.state import Array
from dizoo.smac.battle.recording.replay import pack
from dizoo.smac.replay.scene import Scene


def page(scenes: Sequence[Scene]) -> str:
    """Return the page as HTML, with the games side by side."""
    here = resources.files("dizoo.smac.replay")
    text = (here / "page.html").read_text("utf-8")
    title = " | ".join(f"{scene.header['map']['name']}: {scene.verdict()}" for scene in scenes)
    data = "\n".join(f'<script type="application/octet-stream" class="game">{_base64(s)}</script>' for s in scenes)
    parts = {
        "TITLE": html.escape(title),
        "STYLE": (here / "page.css").read_text("utf-8"),
        "GAMES": data,
        "SCRIPT": "\n".join((here / name).read_text("utf-8") for name in ("draw.js", "panel.js", "viewer.js")),
    }
    before, *rest = text.split("{{")
    for piece in rest:
        key, after = piece.split("}}", 1)
        before += parts[key] + after
    return before


def _base64(scene: Scene) -> str:
    header = {
        **scene.header,
        "verdict": scene.verdict(),
        "story": scene.story(),
        "source": scene.source,
        "field": scene.field(),
        "obs_names": scene.obs_names(),
        "names": [scene.unit_name(u) for u in range(len(scene.units))],
        "actions": _action_texts(scene),
        "deaths": scene.deaths,
    }
    arrays: dict[str, Array] = {**scene.replay.arrays, "victim": scene.victim, "facing": scene.facing}
    arrays["strength"] = scene.strength
    return base64.b64encode(pack(header, arrays)).decode()


def _action_texts(scene: Scene) -> list[list[str]]:
    agents = int(np.count_nonzero(scene.is_ally))
    return [[scene.action_name(k, n) for n in range(len(scene.header["action_names"]))] for k in range(agents)]
