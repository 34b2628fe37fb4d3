"""What an environment says of itself, whatever it counts with."""

import numpy as np
import pytest

from dimix.envs.vec_env import Entities, EnvInfo
from dimix.errors import EnvError


def info(**changes):
    sizes = dict(name="game", agent_num=2, obs_shape=3, global_obs_shape=6, action_shape=4, episode_limit=5)
    return EnvInfo(**{**sizes, **changes})


def test_numpys_numbers_become_pythons():
    found = info(
        agent_num=np.int64(2),
        global_obs_shape=np.array([3, 6, 6]),
        has_win=np.bool_(False),
        agent_types=[np.str_("marine"), np.str_("medic")],
        entities=[Entities(np.int64(0), np.int8(2), 3, named_by=np.array([1]))],
    )
    expected = info(
        global_obs_shape=(3, 6, 6),
        has_win=False,
        agent_types=("marine", "medic"),
        entities=(Entities(0, 2, 3, named_by=(1,)),),
    )
    assert repr(found) == repr(expected)  # numpy's numbers print otherwise


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(agent_num=0), "EnvInfo.agent_num: 0. Right is a whole number of at least 1"),
        (dict(obs_shape=np.float64(2.5)), "EnvInfo.obs_shape: 2.5. Right is"),
        (dict(action_shape=True), "EnvInfo.action_shape: True. Right is"),
        (dict(global_obs_shape=(3, 0, 6)), r"EnvInfo.global_obs_shape\[1\]: 0. Right is"),
    ],
)
def test_sizes_that_are_none(changes, message):
    with pytest.raises(EnvError, match=message):
        info(**changes)
