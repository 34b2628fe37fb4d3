"""Two agents that see the same and have to play different actions: who shares weights decides, through the pipeline."""

import pytest

from dimix.entry import serial_pipeline
from dizoo.matrix_game.config.two_step_qmix_config import create_config, main_config

BLIND = ["env.map_name=roles", "env.obs_agent_id=False", "env.obs_last_action=False"]


def train(tmp_path, seed, *overrides, env_step):
    return serial_pipeline(
        (main_config, create_config), seed=seed, exp_name=str(tmp_path / "run"), out=str, env_step=env_step,
        overrides=[*BLIND, *overrides],
    )  # fmt: skip


@pytest.mark.parametrize("groups", ["none", "groups"])
def test_weights_of_their_own_play_both_roles(tmp_path, training_seed, groups):
    named = ["policy.model.agent_groups={'left': [1], 'right': [0]}"] if groups == "groups" else []
    result = train(tmp_path, training_seed, f"policy.model.parameter_sharing={groups}", *named, env_step=3_000)
    assert result.reason == "stop_value"
    assert result.evaluation["eval/ep_reward"] == 1.0


def test_agent_ids_do_it_with_shared_weights_too(tmp_path, training_seed):
    result = train(tmp_path, training_seed, "env.obs_agent_id=True", env_step=3_000)
    assert result.evaluation["eval/ep_reward"] == 1.0


def test_shared_weights_without_ids_cannot(tmp_path, training_seed):
    result = train(tmp_path, training_seed, env_step=2_000)
    assert result.reason == "env_step"
    assert result.evaluation["eval/ep_reward"] == 0.0
