"""Numbers of workers that cannot work are refused before anything starts."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from dimix.cli import command
from dimix.config import checks
from dimix.config.compile import compile_all
from dimix.errors import ConfigError
from dimix.machine.ranks import Place, torchrun_place

CONFIG = "dizoo/smac/config/smac_3m_qmix_config.py"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["run.workers=0"], "run.workers (in -o): '0'. Use an int >= 1 or one of 'auto'."),
        (["run.workers=many"], "run.workers (in -o): 'many'. Use an int >= 1 or one of 'auto'."),
        (["run.workers=4", "env.collector_env_num=2"], "4, but env.collector_env_num = 2, and each takes a share. Use"),
        (["run.workers=4", "policy.collect.n_episode=3"], "4, but policy.collect.n_episode = 3, and each takes"),
        (["run.workers=4", "policy.learn.batch_size=2"], "4, but policy.learn.batch_size = 2, and each takes a share."),
    ],
)
def test_a_number_that_cannot_work(overrides, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        compile_all(CONFIG, overrides=overrides)


def test_a_policy_that_does_not_sum_its_gradients(monkeypatch):
    policy = compile_all(CONFIG).policy_class
    monkeypatch.setattr(policy, "sums_gradients", False)
    with pytest.raises(ConfigError, match="2, but policy 'qmix' does not sum its gradients over several"):
        compile_all(CONFIG, workers=2)
    assert compile_all(CONFIG, workers="auto").cfg.run.workers == 1


@pytest.mark.parametrize(("cores", "batch", "workers"), [(1, 32, 1), (2, 32, 2), (16, 32, 4), (16, 200, 5), (16, 7, 1)])
def test_auto_is_one_per_core_with_eight_samples_and_an_episode_each(monkeypatch, cores, batch, workers):
    """Of 200 samples 25 workers could have eight, but there are 5 episodes per round."""
    monkeypatch.setattr(checks, "usable_cores", lambda: cores)
    overrides = [f"policy.learn.batch_size={batch}", "policy.collect.n_episode=5"]
    assert compile_all(CONFIG, overrides=overrides, workers="auto").cfg.run.workers == workers


def test_the_command_line_says_what_is_right():
    shown = CliRunner().invoke(command, ["-m", "serial", "-c", CONFIG, "--workers", "0"])
    assert shown.exit_code == 2 and "'0': use a whole number of at least 1." in shown.output


NUMBERS = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
WHOLE = {**NUMBERS, "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}


def test_the_place_that_torchrun_gives():
    assert torchrun_place(WHOLE) == Place(1, 4, 1, 2)
    assert torchrun_place({"MASTER_ADDR": "node0"}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MASTER_PORT": None}, "RANK, WORLD_SIZE, MASTER_ADDR set, MASTER_PORT not. Start with torchrun"),
        ({"WORLD_SIZE": None}, "RANK, MASTER_ADDR, MASTER_PORT set, WORLD_SIZE not."),
        ({"RANK": "4"}, "RANK=4, WORLD_SIZE=4. Right are whole numbers, RANK from 0 to WORLD_SIZE - 1"),
        ({"RANK": "one"}, "RANK=one, WORLD_SIZE=4."),
    ],
)
def test_half_of_torchruns_variables(change, message):
    variables = {name: value for name, value in {**WHOLE, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=re.escape(message)):
        torchrun_place(variables)
