"""Time JaxMARL's QMIX on SMAX; run it in a Python with jax and JaxMARL, not dimix's.

    PYTHON benchmark/peers/jaxmarl_smax.py --repo PATH/TO/JaxMARL --map 3s5z --hidden 64 --updates 400

Prints one JSON line: collected env steps, sampled steps, wall and CPU seconds of the compiled run (compilation is timed
separately). Replay ratio = epochs * batch * steps / (envs * steps).
"""

import argparse
import json
import resource
import sys
import time


def settings(args: argparse.Namespace) -> dict:
    """Return JaxMARL's own SMAX settings, with the compared sizes."""
    return {
        "TOTAL_TIMESTEPS": args.updates * args.envs * args.steps,
        "NUM_ENVS": args.envs,
        "NUM_STEPS": args.steps,
        "BUFFER_SIZE": 5000,
        "BUFFER_BATCH_SIZE": args.batch,
        "HIDDEN_SIZE": args.hidden,
        "MIXER_EMBEDDING_DIM": 32,
        "MIXER_HYPERNET_HIDDEN_DIM": 64,
        "MIXER_INIT_SCALE": 0.001,
        "EPS_START": 1.0,
        "EPS_FINISH": 0.05,
        "EPS_DECAY": 0.1,
        "MAX_GRAD_NORM": 10,
        "TARGET_UPDATE_INTERVAL": 10,
        "TAU": 1.0,
        "NUM_EPOCHS": args.epochs,
        "LR": 0.00005,
        "LEARNING_STARTS": 0,
        "LR_LINEAR_DECAY": False,
        "GAMMA": 0.99,
        "REW_SCALE": 10.0,
        "ENV_NAME": "HeuristicEnemySMAX",
        "MAP_NAME": args.map,
        "ENV_KWARGS": {"see_enemy_actions": True, "walls_cause_death": True, "attack_mode": "closest"},
        "TEST_DURING_TRAINING": False,
        "TEST_INTERVAL": 1.0,
        "TEST_NUM_STEPS": 1,
        "TEST_NUM_ENVS": 1,
        "NUM_SEEDS": 1,
        "SEED": 0,
        "WANDB_MODE": "disabled",
        "WANDB_LOG_ALL_SEEDS": False,
    }


def main() -> None:
    """Compile, run once, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", required=True, help="a checkout of JaxMARL")
    parser.add_argument("--map", default="3s5z")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--envs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--updates", type=int, default=100)
    args = parser.parse_args()
    sys.path[:0] = [args.repo, f"{args.repo}/baselines/QLearning"]

    import jax
    import qmix_rnn
    import wandb

    wandb.init(mode="disabled")
    config = settings(args)
    env, _ = qmix_rnn.env_from_config(config)
    run = jax.jit(jax.vmap(qmix_rnn.make_train(config, env)))
    seeds = jax.random.split(jax.random.PRNGKey(0), 1)
    started = time.perf_counter()
    compiled = run.lower(seeds).compile()
    compile_s = time.perf_counter() - started
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(compiled(seeds))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        json.dumps(
            {
                "peer": "JaxMARL",
                "map": args.map,
                "env_steps": config["TOTAL_TIMESTEPS"],
                "replay_ratio": args.epochs * args.batch / args.envs,
                "wall_s": wall,
                "cpu_s": cpu,
                "compile_s": compile_s,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "jax": jax.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
