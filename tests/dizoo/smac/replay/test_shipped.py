"""The games and the code of docs/replays.md."""

import re
from pathlib import Path

from dizoo.smac.battle.recording.replay import load_replay
from dizoo.smac.replay.scene import open_scene

DOCS = Path(__file__).resolve().parents[4] / "docs"


def test_trained_team_wins_and_random_one_loses():
    trained, floor = (open_scene(DOCS / f"replays/MMM_{name}.replay") for name in ("trained", "random"))
    assert trained.story().startswith("allies won after 24.5 s")
    assert floor.story().startswith("allies lost after 71.0 s")
    assert {"q", "q_tot", "weight"} <= trained.replay.arrays.keys()


def test_code_of_the_page_records_a_game(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (DOCS / "replays.md").read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code.group(1), {})
    assert load_replay("random.replay").header["map"]["name"] == "3m"
