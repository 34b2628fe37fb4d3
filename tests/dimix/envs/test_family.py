"""What a config's environment has to have, what it gets for nothing, and classes written without the base."""

import pytest
from easydict import EasyDict

from dimix.config.compile import compile_all
from dimix.config.schema import class_schema, defaults
from dimix.envs.family import EnvFamily, as_family
from dimix.envs.game_env import GameEnv
from dimix.envs.recordable import Recordable
from dimix.envs.vec_env import EnvInfo, VecEnv
from dimix.errors import ConfigError, RegistryError
from dimix.registry import ENV_REGISTRY, EnvRegistry
from dizoo.matrix_game.envs.matrix_game_env import MatrixGameEnv


class Bare:
    """Two lonely agents."""

    config = dict(
        # (int) Steps of an episode, >= 1.
        limit=7,
        stop_value=3.0,
    )

    @classmethod
    def describe(cls, cfg):
        return EnvInfo("bare", 2, 3, 6, 4, cfg.limit)

    @classmethod
    def create(cls, cfg, role, num_envs, seed):
        return cls, role, num_envs, seed

    @classmethod
    def map_names(cls):
        return ["here"]




def test_a_class_without_the_base_is_taken_with_the_bases_defaults():
    registry = EnvRegistry("env")
    registry.register("bare")(Bare)
    family = registry.get("bare")
    assert issubclass(family, Bare) and issubclass(family, EnvFamily) and registry.get("bare") is family
    assert (family.__name__, family.__module__, family.__doc__) == ("Bare", __name__, "Two lonely agents.")
    cfg = EasyDict(defaults(class_schema(family)))
    assert (cfg.limit, cfg.stop_value, cfg.collector_env_num, cfg.obs_agent_id) == (7, 3.0, 8, True)
    assert family.describe(cfg).episode_limit == 7 and family.create(cfg, "collect", 3, 0) == (family, "collect", 3, 0)
    assert family.map_names() == ["here"] and family.notes(cfg) == [] and family.input_files(cfg) == {}
    assert family.compile_notice() is None and family.packages == () and family.curriculum(cfg, None, 0) is None
    assert not family.show_replays([], None, print)
    assert as_family(GameEnv) is GameEnv


def test_configs_of_such_a_class_compile(monkeypatch):
    monkeypatch.setitem(ENV_REGISTRY._classes, "bare", Bare)
    create = dict(env=dict(type="bare"), policy=dict(type="qmix"))
    compiled = compile_all((dict(env=dict(limit=5)), create))
    assert compiled.info.episode_limit == 5 and compiled.cfg.env.n_evaluator_episode == 32
    with pytest.raises(ConfigError, match=r"env.collector_env_num .*: 0 is out of range. Use an int >= 1"):
        compile_all((dict(env=dict(collector_env_num=0)), create))


def test_what_lacks_a_part_is_named():
    class Nothing:
        pass

    class Unfinished(GameEnv):
        def reset(self, seed): ...

    registry = EnvRegistry("env")
    registry.register("nothing")(Nothing)
    registry.register("unfinished")(Unfinished)
    with pytest.raises(RegistryError, match="env 'nothing': .*Nothing has no create and no describe. .*EnvFamily"):
        registry.get("nothing")
    with pytest.raises(RegistryError, match="env 'unfinished': .*Unfinished has no __init__ and no step"):
        registry.get("unfinished")


def test_a_changed_default_keeps_the_bases_type_range_and_text():
    base, own = class_schema(EnvFamily), class_schema(MatrixGameEnv)
    assert own["evaluator_env_num"].default == 4 and base["evaluator_env_num"].default == 8
    assert own["evaluator_env_num"].text == base["evaluator_env_num"].text != ""
    assert own["evaluator_env_num"].bounds == ((">=", 1.0),)


def test_recordable_is_what_has_record():
    env = MatrixGameEnv("two_step", 1)
    assert isinstance(env, VecEnv) and not isinstance(env, Recordable)
    env.record = lambda games, on_game, q: None
    assert isinstance(env, Recordable)
