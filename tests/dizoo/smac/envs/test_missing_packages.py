"""Environments whose package is missing say which command installs it."""

import dataclasses

import pytest

from dimix.config.compile import compile_all
from dimix.errors import ConfigError
from dizoo.smac.envs.games import smaclite_game
from dizoo.smax.envs import smax_env


@pytest.mark.parametrize(
    ("module", "name", "env", "command"),
    [
        (
            smaclite_game,
            "SMACLITE",
            dict(map_name="MMM", backend="smaclite"),
            "pip install 'dimix[smaclite]' && pip install --upgrade rtree",
        ),
        (smax_env, "JAXMARL", dict(map_name="3m"), "pip install 'dimix[smax]'"),
    ],
)
def test_the_command_is_told(monkeypatch, module, name, env, command):
    package = getattr(module, name)
    monkeypatch.setattr(module, name, dataclasses.replace(package, module="no_such_package"))
    if module is smax_env:
        monkeypatch.setattr(smax_env, "_jax", lambda: None)
    kind = "smac" if module is smaclite_game else "smax"
    with pytest.raises(ConfigError) as error:
        compile_all((dict(env=env), dict(env=dict(type=kind), policy=dict(type="qmix"))))
    said = f"env (in main_config): no_such_package is not installed. Install it with: {command}"
    assert str(error.value) == said
