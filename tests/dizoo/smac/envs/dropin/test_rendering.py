"""Render modes of the drop-in environments: pictures without a display, a window with one, Gymnasium's own checks."""

import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from dizoo.smac import envs as smac_envs
from dizoo.smac.battle.errors import BattleError
from dizoo.smac.envs.dropin import rendering

pytest.importorskip("PIL")
gymnasium = pytest.importorskip("gymnasium")
picture = pytest.importorskip("dizoo.smac.replay.picture")


@pytest.fixture
def on_a_screen():
    """Runs code in a process of its own with a screen (Tk ends the process whose X server goes)."""
    pytest.importorskip("tkinter")
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("no Xvfb here to open a window on (Debian: apt-get install xvfb)")
    command = [server, "-displayfd", "1", "-noreset", "-screen", "0", "800x800x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        display = ":" + process.stdout.readline().decode().strip()

        def run(code):
            start = "from dizoo.smac.envs.dropin import rendering\nrendering.time.sleep = lambda seconds: None\n"
            found = subprocess.run(
                [sys.executable, "-c", start + textwrap.dedent(code)],
                env={**os.environ, "DISPLAY": display},
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert found.returncode == 0, found.stderr
            return found.stdout

        try:
            yield run
        finally:
            process.terminate()


def play(env, steps=200, seed=0):
    """Random play until the episode ends; every rendered picture."""
    env.reset(seed=seed)
    rng, seen = np.random.default_rng(seed), [env.render()]
    for _ in range(steps):
        masks = np.array(env.unwrapped.get_avail_actions())
        over = env.step((masks * rng.random(masks.shape)).argmax(1).tolist())[2:4]
        seen.append(env.render())
        if any(over):
            break
    return seen


def test_pictures_of_an_episode_have_one_size_and_show_what_happens():
    env = smac_envs.BattleEnv("3m", seed=0, render_mode="rgb_array")
    seen = play(env)
    assert {p.shape for p in seen} == {(38 + 640, 640, 3)} and seen[
        0
    ].dtype == np.uint8  # 32 x 32 cells, 20 pixels each
    field = seen[0][picture._HEAD :]
    for colour, side in ((picture.ALLY, "ally"), (picture.ENEMY, "enemy")):
        assert (field == colour).all(2).sum() > 100, side
    enemies = env.unwrapped.get_state()
    assert len(enemies) and len(np.unique([p.sum() for p in seen])) > len(seen) // 2
    bar = seen[-1][22, 6:314]  # the allies' health on top
    assert (bar == picture.ALLY).all(1).mean() < 0.8, "the allies lost health"
    again = play(env)[0]
    np.testing.assert_array_equal(again, seen[0])  # a reset forgets the fallen


def test_the_verdict_is_shown_at_the_end_only():
    env = smac_envs.BattleEnv("3m", seed=0, render_mode="rgb_array")
    seen = play(env)
    place = np.s_[3:15, 320:420]  # where the verdict is written; there is nothing else
    assert [bool((p[place] != picture._BACK).any()) for p in seen] == [False] * (len(seen) - 1) + [True]


def test_pictures_leave_the_battle_as_it_is():
    plain, drawn = (smac_envs.BattleEnv("3m", seed=3, render_mode=mode) for mode in (None, "rgb_array"))
    assert plain.render() is None
    play(plain, 12), play(drawn, 12)
    np.testing.assert_array_equal(plain.get_state(), drawn.get_state())


def test_gymnasium_checks_every_mode(on_a_screen):
    pytest.importorskip("gymnasium")
    on_a_screen("""
        import warnings

        import gymnasium
        from gymnasium.utils.env_checker import check_env

        import dizoo.smac.envs

        warnings.simplefilter("error")
        check_env(gymnasium.make("dimix/3m-v0").unwrapped)
    """)


def test_pettingzoo_checks_every_mode(on_a_screen):
    pytest.importorskip("pettingzoo")
    on_a_screen("""
        from pettingzoo.test import render_test
        from pettingzoo.utils.conversions import parallel_to_aec

        from dizoo.smac.envs import parallel_env

        render_test(lambda render_mode: parallel_to_aec(parallel_env("3m", render_mode=render_mode)))
    """)


def test_window_shows_every_tick_and_survives_being_closed(on_a_screen):
    said = on_a_screen("""
        from dizoo.smac.envs import BattleEnv

        real = rendering._Window.show
        shown = []
        rendering._Window.show = lambda self, pixels: (shown.append(pixels), real(self, pixels))
        env = BattleEnv("3m", seed=0, render_mode="human")
        env.reset()
        print(len(shown))
        env.step([1, 1, 1])
        print(len(shown), env.render())
        env._renderer._window.close()  # as its user does
        env.step([1, 1, 1])
        env.close()
        env.close()
    """)
    assert said.splitlines() == ["1", "9 None"]


def test_no_display_is_said_in_one_line(monkeypatch):
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    for make in (smac_envs.BattleEnv, smac_envs.parallel_env):
        with pytest.raises(BattleError, match="render_mode='human': .*display.* Use render_mode='rgb_array'") as error:
            make("3m", render_mode="human")
        assert "\n" not in str(error.value)


def test_missing_pillow_is_named(monkeypatch):
    monkeypatch.setattr(rendering.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError, match=r"render_mode='rgb_array' needs Pillow.* pip install 'dimix\[replay\]'"
    ):
        smac_envs.BattleEnv("3m", render_mode="rgb_array")
    smac_envs.BattleEnv("3m", render_mode="ansi")
