"""The keys of a config that belong to no class: the run's, the create config's, and those the workers read."""

from __future__ import annotations

import sys
from typing import Any

from dimix.config.schema import Schema, dict_schema, source_comments

RUN_CONFIG: dict[str, Any] = dict(
    # (str | None) Run folder; None makes <config file>_result/seed<seed>.
    exp_name=None,
    # (int) Seed of every random stream of the run, >= 0.
    seed=0,
    run=dict(
        # (int | None) Env steps after which training stops; None: no limit, >= 1.
        env_step=10_000_000,
        # (int | None) Updates after which training stops; None: no limit, >= 1.
        train_iter=None,
        # (int) Latest evaluations whose mean win rate must reach env.stop_value to stop the run early. Where every game
        # is drawn anew, that mean also decides which networks are the best, >= 1.
        stop_window=5,
        # (float) Seconds between two checkpoints; saving does not affect the course of a run, > 0.
        checkpoint_interval_s=120.0,
        # (int) Resume checkpoints (a run's largest files) to keep when it ends normally. 2: latest.pth.tar and
        # previous.pth.tar; 1: the latest; 0: none, so the run cannot be resumed, in [0, 2].
        resume_checkpoints=2,
        # (float) Seconds between two progress lines, > 0.
        progress_interval_s=5.0,
        # (bool) Write TensorBoard files as well as the CSV.
        tensorboard=True,
        # (int) Torch threads; more than one gains little on networks of this size, >= 1.
        torch_threads=1,
        # (int | str) Processes that train together, each with its share of the games, the buffer and every batch;
        # "auto": one per core, up to one per eight samples of a batch, >= 1, one of "auto".
        workers=1,
        # (dict) Callbacks by registered name, with their options: dict(wandb=dict(mode="offline")).
        callbacks=dict(),
    ),
)

CREATE_CONFIG = dict(
    env=dict(
        # (str) Registered name of the environment; list all with: dimix -q env.
        type="smac",
        # (list of str) Modules to import to register the environment.
        import_names=[],
    ),
    policy=dict(
        # (str) Registered name of the policy; list all with: dimix -q policy.
        type="qmix",
        # (list of str) Modules to import to register your own policies and models.
        import_names=[],
    ),
    callback=dict(
        # (list of str) Modules to import to register your own callbacks.
        import_names=[],
    ),
)

#: Keys of the policy branch that apply to every policy.
ROOMS_CONFIG = dict(
    # (int) Episodes of random play, without updates, at the start of a run, >= 0.
    random_collect_size=0,
    eval=dict(
        # (float) Probability of a random action in evaluation games, per agent and step; 0 is greedy, in [0, 1].
        epsilon=0.0,
    ),
    collect=dict(
        # (str) Hidden state at the start of a window: stored during play, or zeros, one of "stored", "zero".
        start_state="stored",
        # (int) Steps before a window that only warm up its hidden state, >= 0.
        burnin_len=0,
    ),
    other=dict(
        replay_buffer=dict(
            # (float) Prioritised replay: exponent of the priorities; 0 is uniform, in [0, 1].
            alpha=0.6,
            # (float) Prioritised replay: share of the bias that importance weights correct, in [0, 1].
            beta=0.4,
            # (int) Prioritised replay: updates over which beta rises to 1; 0 keeps it constant, >= 0.
            anneal_step=0,
        ),
    ),
)

#: DI-engine keys that have no meaning here, with the reason. A branch covers all keys below it. Environment and policy
#: classes add their own in a class attribute ``config_ignored``, in the same form, relative to their branch.
IGNORED = {
    "create_config.env_manager": "env.manager.type says it, where games are played one at a time",
    "create_config.collector": "the collector gathers whole episodes; policy.collect.unroll_len cuts them",
    "create_config.learner": "there is one learner",
    "create_config.replay_buffer": "there is one replay buffer",
    "env.manager": "all games are stepped as one batch, without worker processes",
    "policy.multi_gpu": "run.workers says how many processes train together",
    "policy.learn.multi_gpu": "run.workers says how many processes train together",
    "policy.bp_update_sync": "run.workers says how many processes train together",
    "policy.other.replay_buffer.max_reuse": "data leave the buffer by age alone",
    "policy.other.replay_buffer.max_staleness": "data leave the buffer by age alone",
}


def schema_of(name: str) -> Schema:
    """The schema of one of the dicts above, by its name."""
    module = sys.modules[__name__]
    return dict_schema(getattr(module, name), source_comments(module, name))
