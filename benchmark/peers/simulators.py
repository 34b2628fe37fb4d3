"""Speed of another simulator, in that simulator's own Python: ``python simulators.py smaclite MMM 5``.

Needs only numpy and the peer. Prints one JSON line. Times what a learner needs from a step: the step itself, all
observations, the state and the action masks, and the reset of finished games, but not choosing the actions.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np

STEPS_AT_MOST = 100_000
WARM_UP_CALLS = 3  # jax compiles again at the second call, whose state has another type than a fresh one


def smaclite(map_name: str, seconds: float, use_cpp: bool = False) -> dict:
    """SMAClite (https://github.com/uoe-agents/smaclite): one battle, one core."""
    import gymnasium
    import smaclite  # noqa: F401 - registers its environments

    # Its own names: mmm and mmm2 are registered in capitals.
    env = gymnasium.make(f"smaclite/{map_name}-v0", seed=0, use_cpp_rvo2=use_cpp).unwrapped
    rng = np.random.default_rng(0)
    env.reset()
    masks = env.get_avail_actions()

    def step() -> None:
        nonlocal masks
        actions = [int(rng.choice(np.flatnonzero(mask))) for mask in masks]
        with clock:
            _, _, done, _, _ = env.step(actions)
            if done or clock.steps % 150 == 149:  # it has no time limit of its own
                env.reset()
            masks = env.get_avail_actions()
            env.get_state()

    clock = Clock()
    return clock.measure(step, 1, seconds)


def smax(map_name: str, seconds: float, batch: int = 64) -> dict:
    """JaxMARL's SMAX (https://github.com/FLAIROX/JaxMARL): a batch of battles in one compiled call."""
    import jax
    import jax.numpy as jnp
    from jaxmarl import make
    from jaxmarl.environments.smax import map_name_to_scenario

    env = make("HeuristicEnemySMAX", scenario=map_name_to_scenario(map_name))
    keys = jax.random.split(jax.random.PRNGKey(0), batch)
    _, state = jax.jit(jax.vmap(env.reset))(keys)
    block = 32  # steps per compiled call, so that dispatch does not count

    def one(carry, key):  # noqa: ANN001, ANN202
        state, key_pick = carry, key
        masks = jax.vmap(env.get_avail_actions)(state)
        keys = jax.random.split(key_pick, len(env.agents) + 1)
        actions = {
            agent: jax.random.categorical(k, jnp.where(masks[agent], 0.0, -1e9))
            for agent, k in zip(env.agents, keys[1:], strict=True)
        }
        obs, state, reward, _, _ = jax.vmap(env.step)(jax.random.split(keys[0], batch), state, actions)
        return state, (obs["world_state"].sum(), reward[env.agents[0]].sum())

    run = jax.jit(lambda state, key: jax.lax.scan(one, state, jax.random.split(key, block)))
    key = jax.random.PRNGKey(1)

    def step() -> None:
        nonlocal state, key
        key, now = jax.random.split(key)
        with clock:
            state, out = run(state, now)
            jax.block_until_ready(out)

    clock = Clock()
    return clock.measure(step, block * batch, seconds) | {"batch": batch, "draws_actions_inside": True}


class Clock:
    """Sums the time spent inside ``with clock``."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.steps = 0

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._wall
        self.cpu += time.process_time() - self._cpu
        self.steps += 1

    def measure(self, step: Callable[[], None], env_steps: int, seconds: float) -> dict:
        """Warm up, then call until the time is up; ``env_steps`` per call."""
        for _ in range(WARM_UP_CALLS):
            step()
        self.wall = self.cpu = 0.0
        self.steps = 0
        while self.wall < seconds and self.steps < STEPS_AT_MOST:
            step()
        total = self.steps * env_steps
        return {"steps": total, "steps_per_s": total / self.wall, "steps_per_cpu_s": total / self.cpu}


if __name__ == "__main__":
    peer, name, budget = sys.argv[1], sys.argv[2], float(sys.argv[3])
    if peer == "smax":
        result = smax(name, budget)
    else:
        result = smaclite(name, budget, use_cpp=peer == "smaclite-cpp")
    print(json.dumps(result))
