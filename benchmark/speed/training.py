"""End-to-end speed of QMIX training, ours and other codebases', in one run on one machine.

    python -m benchmark.speed.training [--cases MMM:16 3s5z:16 3s5z:16:96 3s5z:4] [--rounds 3] [--write]
        [--epymarl-python PYTHON --epymarl-repo DIR] [--cleanmarl-python PYTHON --cleanmarl-repo DIR]
        [--jaxmarl-python PYTHON --jaxmarl-repo DIR]

A case is a map, a replay ratio (steps sampled per step collected) and the episodes per update, 32 by default. Ours is
what `dimix -m serial` builds from the map's zoo config, with a GRU of 64 units, on one thread: it collects as many
episodes as an update takes in 32 parallel battles, then makes as many updates as the ratio requires. No side includes
evaluations, checkpoints, start-up or the time before the first update. Every measurement has its own process, ours and
the peers' in turn, round by round, so that other load slows all sides alike. Printed are medians over the rounds;
ratios compare steps per second of processor time over all threads and child processes. Peers run the maps they have:
EPyMARL and CleanMARL SMAClite's, JaxMARL its own SMAX version of 3s5z (other rules; an update takes 32 sequences of 128
steps, as many steps as about 96 of our episodes).

Memory is that of these short runs: EPyMARL and JaxMARL reserve their replay buffer at once, ours and CleanMARL's grow.
Ours is therefore also measured with a full buffer (5,000 episodes, the recipe's size).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmark import zoo_file
from benchmark.markdown import table
from benchmark.provenance import conditions, machine, versions, write_report
from benchmark.speed.peers import SCRIPTS, run_json, typed

MODULE = "benchmark.speed.training"
PARTS = ("simulator", "acting", "buffer", "sampling", "learning")
EPISODES = 32


class Case(NamedTuple):
    """A training setup: `ratio` updates of `episodes` episodes after every `episodes` new episodes."""

    map_name: str
    ratio: int
    episodes: int = EPISODES

    @classmethod
    def parse(cls, text: str) -> Case:
        """Parse ``MMM:16`` or ``MMM:16:96``.

        Raises:
            argparse.ArgumentTypeError: another form.
        """
        name, *numbers = text.split(":")
        if not name or len(numbers) not in (1, 2) or not all(n.isdigit() and int(n) for n in numbers):
            raise argparse.ArgumentTypeError(f"case '{text}'. Right is MAP:RATIO[:EPISODES], for example MMM:16.")
        return cls(name, *map(int, numbers))

    def __str__(self) -> str:
        return ":".join(map(str, self))


class Clock:
    """Sums the processor time of functions by part; parts must not call each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that it is timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.process_time() - start

        return call


class Training:
    """A training run with a clock around every part.

    Args:
        case: map and replay ratio.
        seed: of the run.
    """

    def __init__(self, case: Case, seed: int = 0) -> None:
        import torch

        from dimix.config.compile import compile_all
        from dimix.entry.rooms import Rooms, make_agent_input, make_curriculum, make_env
        from dimix.worker import Collector, Learner

        torch.set_num_threads(1)
        overrides = {
            "env.collector_env_num": EPISODES,
            "policy.collect.n_episode": case.episodes,
            "policy.learn.batch_size": case.episodes,
            "policy.learn.update_per_collect": case.ratio,
        }
        compiled = compile_all(
            zoo_file(case.map_name, "qmix"),
            overrides=[f"{key}={value}" for key, value in overrides.items()],
            seed=seed,
        )
        self.case, self.clock = case, Clock()
        timed = self.clock.timed
        rooms = Rooms(compiled)
        self.policy, self.buffer, self.epsilon = rooms.policy, rooms.buffer, rooms.epsilon
        env, agent_input = make_env(compiled, "collect"), make_agent_input(compiled)
        act, learn = self.policy.collect_mode, self.policy.learn_mode
        act = dataclasses.replace(act, forward=timed("acting", act.forward))
        learn = dataclasses.replace(learn, forward=timed("learning", learn.forward))
        parts: dict[str, tuple[Any, tuple[str, ...]]] = {
            "simulator": (env, ("step", "reset")),
            "acting": (agent_input, ("build",)),
            "buffer": (self.buffer, ("begin", "append", "finish")),
            "sampling": (self.buffer, ("sample",)),
        }
        for part, (room, names) in parts.items():
            for name in names:
                setattr(room, name, timed(part, getattr(room, name)))
        self.collector = Collector(env, act, self.buffer, agent_input, make_curriculum(compiled, env))
        self.learner = Learner(learn, self.buffer, case.episodes)

    def iterate(self, updates: int | None = None) -> None:
        """Run one round of collecting and learning."""
        self.collector.collect(self.case.episodes, self.epsilon(self.collector.env_step))
        self.learner.train(self.case.ratio if updates is None else updates)


def measure_ours(case: Case, seconds: float) -> dict[str, Any]:
    """Train for a while in this process; the first round, which compiles code and grows buffers, is not timed."""
    training = Training(case)
    training.iterate()
    training.clock.seconds.clear()
    collector, learner = training.collector, training.learner
    before = (collector.env_step, learner.sampled_steps)
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        training.iterate()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    parts = dict(training.clock.seconds)  # a copy: the code below samples too
    env_steps, sampled = collector.env_step - before[0], learner.sampled_steps - before[1]
    work = multiply_adds_per_step(training) * sampled
    return {
        "peak_bytes": peak_bytes(),
        "env_steps": env_steps,
        "replay_ratio": sampled / env_steps,
        "wall_s": wall,
        "cpu_s": cpu,
        "parts_s": {**{part: parts[part] for part in PARTS}, "other": cpu - sum(parts.values())},
        "share_of_peak": work / parts["learning"] / matrix_product_rate(),
    }


def measure_memory(map_name: str) -> dict[str, Any]:
    """Fill the replay buffer and learn a little; returns the peak memory of this process."""
    from dimix.replay.buffer import ReplayBuffer

    training = Training(Case(map_name, 1))
    buffer = training.buffer
    assert isinstance(buffer, ReplayBuffer)
    while len(buffer) < buffer.capacity:
        training.iterate(updates=0)
    training.iterate(updates=8)
    return {
        "peak_bytes": peak_bytes(),
        "buffer_bytes": buffer.nbytes,
        "episodes": len(buffer),
        "buffer_steps": buffer.num_steps,
        "env_steps": training.collector.env_step,
    }


def multiply_adds_per_step(training: Training, batches: int = 8) -> float:
    """Multiply-adds of an update's matrix products per sampled step, over fresh samples of the run's own buffer."""
    from benchmark.speed.learner import Sizes, multiply_adds
    from dimix.policy import QMIXPolicy

    info, size = training.buffer.info, training.buffer.agent_input.size
    sizes = Sizes(info.agent_num, size, info.state_size, info.action_shape, info.episode_limit)
    assert isinstance(training.policy, QMIXPolicy)
    work = steps = 0
    for _ in range(batches):
        batch = training.buffer.sample(training.case.episodes)
        work += multiply_adds(training.policy, batch, sizes)
        steps += int(batch.filled.sum())
    return work / steps


def matrix_product_rate() -> float:
    """Multiply-adds per second of a large matrix product on one thread."""
    from benchmark.speed.learner import peak

    return peak()


def peak_bytes() -> int:
    """Peak memory of this process."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# ---- processes -------------------------------------------------------------------------------------------------------


def ours(*arguments: str) -> dict[str, Any]:
    """Run one measurement of ours in its own process."""
    return run_json([sys.executable, "-m", MODULE, *arguments])


def peer_command(peer: str, case: Case, args: argparse.Namespace) -> list[str] | None:
    """Return the command that measures a peer on a case; None if the peer is not given or lacks the map."""
    python, repo = getattr(args, f"{peer}_python"), getattr(args, f"{peer}_repo")
    if not (python and repo):
        return None
    if peer == "jaxmarl":
        if case.map_name != "3s5z":  # the settings in the driver are for this map
            return None
        envs = max(32 // case.ratio, 1)
        updates = max(int(args.jaxmarl_steps / (envs * 128)), 1)
        return [python, str(SCRIPTS / "jaxmarl_smax.py"), "--repo", repo, "--map", case.map_name,
                "--envs", str(envs), "--updates", str(updates)]  # fmt: skip
    if case.map_name != "MMM":  # one map is enough: a round of theirs takes minutes
        return None
    script = str(SCRIPTS / f"{peer}.py")
    return [python, script, "--repo", repo, "--map", case.map_name, "--ratio", str(case.ratio),
            "--seconds", str(args.peer_seconds)]  # fmt: skip


PEERS = {"epymarl": "EPyMARL", "cleanmarl": "CleanMARL", "jaxmarl": "JaxMARL"}


def median_of(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Take medians of the speeds of several measurements; the last error if all failed."""
    good = [r for r in rounds if "error" not in r]
    if not good:
        return {"error": rounds[-1]["error"]}

    def median(value: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(map(value, good))

    out: dict[str, Any] = {
        "steps_per_s": median(lambda r: r["env_steps"] / r["wall_s"]),
        "steps_per_cpu_s": median(lambda r: r["env_steps"] / r["cpu_s"]),
        "replay_ratio": median(lambda r: r["replay_ratio"]),
        "env_steps": sum(r["env_steps"] for r in good),
        "rounds": len(good),
    }
    if "peak_bytes" in good[0]:
        out["peak_bytes"] = max(r["peak_bytes"] for r in good)
    if "parts_s" in good[0]:
        shares = [{part: seconds / r["cpu_s"] for part, seconds in r["parts_s"].items()} for r in good]
        out["share"] = {part: statistics.median(share[part] for share in shares) for part in shares[0]}
        out["share_of_peak"] = median(lambda r: r["share_of_peak"])
    return out


def measure_case(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """Measure all sides on one case, in turn, several times."""
    commands = {peer: command for peer in PEERS if (command := peer_command(peer, case, args))}
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(args.rounds):
        worker = ["--worker", str(case), "--seconds", str(args.seconds)]
        found["dimix"].append(ours(*worker))
        for peer, command in commands.items():
            found[peer].append(run_json(command))
    out = {side: median_of(rounds) for side, rounds in found.items()}
    if "error" in out["dimix"]:
        raise SystemExit(f"{case}: {out['dimix']['error']}")
    return out


# ---- report ----------------------------------------------------------------------------------------------------------


def as_markdown(report: dict[str, Any]) -> str:
    """Format the report as tables with their conditions above them."""
    parts = [
        "Environment steps per second of QMIX training (GRU 64): simulator, acting, replay buffer, updates; "
        f"median of {report['rounds']} rounds, all sides in turn.\n{conditions(report, 'torch', 'numpy')}",
        speed_table(report["cases"]),
        "Where our processor time goes, and the learner's multiply-adds over the rate of a large matrix product:",
        share_table(report["cases"]),
    ]
    for name, r in report["memory"].items():
        parts.append(
            f"Peak memory on {name} with a full replay buffer ({r['episodes']:,} episodes, {r['buffer_steps']:,} "
            f"steps, {r['buffer_bytes'] / 1e9:.2f} GB): {r['peak_bytes'] / 1e9:.2f} GB."
        )
    return "\n\n".join(parts) + "\n"


def speed_table(cases: Sequence[dict[str, Any]]) -> str:
    """Format a line per case and side."""
    lines = []
    for row in cases:
        speed = row["sides"]["dimix"]["steps_per_cpu_s"]
        for side, r in row["sides"].items():
            name = PEERS.get(side, side)
            if "error" in r:
                lines.append([row["case"], name, "", r["error"], "", "", ""])
                continue
            ratio = "" if side == "dimix" else f"{speed / r['steps_per_cpu_s']:.1f}x"
            memory = f"{r['peak_bytes'] / 1e9:.2f} GB" if "peak_bytes" in r else ""
            cells = [row["case"], name, f"{r['replay_ratio']:.1f}", f"{r['steps_per_s']:,.0f}"]
            lines.append([*cells, f"{r['steps_per_cpu_s']:,.0f}", ratio, memory])
    names = ("case", "side", "replay ratio", "steps/s", "steps per CPU s", "ours / theirs (CPU)")
    return table((*names, "peak memory of the run"), lines, left=2)


def share_table(cases: Sequence[dict[str, Any]]) -> str:
    """Format where our processor time goes, a line per case."""
    ours = {row["case"]: row["sides"]["dimix"] for row in cases}
    lines = [
        [case, *(f"{r['share'][part]:.1%}" for part in (*PARTS, "other")), f"{r['share_of_peak']:.0%}"]
        for case, r in ours.items()
    ]
    return table(("case", *PARTS, "other", "learner / peak"), lines)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cases = [Case("MMM", 16), Case("3s5z", 16), Case("3s5z", 16, 96), Case("3s5z", 4)]
    form = "MAP:RATIO[:EPISODES]"
    parser.add_argument("--cases", nargs="+", type=Case.parse, default=cases, metavar="CASE", help=form)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (default 3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="timed seconds of ours per round (default 10)")
    parser.add_argument("--peer-seconds", type=float, default=25.0, help="timed seconds of a PyTorch peer (default 25)")
    parser.add_argument("--jaxmarl-steps", type=int, default=15_360, help="timed env steps of JaxMARL")
    parser.add_argument("--memory", nargs="*", default=["MMM"], metavar="MAP", help="maps to fill a buffer on")
    for peer, name in PEERS.items():
        parser.add_argument(f"--{peer}-python", metavar="PATH", help=f"a Python that can run {name}")
        parser.add_argument(f"--{peer}-repo", metavar="PATH", help=f"a checkout of {name}")
    parser.add_argument("--write", action="store_true", help="write benchmark/results/training.json")
    parser.add_argument("--worker", type=Case.parse, help=argparse.SUPPRESS)
    parser.add_argument("--memory-worker", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; write if requested."""
    args = parse_args(argv)
    if args.worker or args.memory_worker:
        result = measure_ours(args.worker, args.seconds) if args.worker else measure_memory(args.memory_worker)
        print(json.dumps(result))
        return 0
    paths = {f"--{peer}-{kind}": kind.upper() for peer in PEERS for kind in ("python", "repo")}
    report: dict[str, Any] = {
        "command": typed(MODULE, argv, paths),
        "machine": {**machine(), **versions("numpy", "torch")},
        "rounds": args.rounds,
        "cases": [],
    }
    for case in args.cases:
        sides = measure_case(case, args)
        report["cases"].append({"case": str(case), "map": case.map_name, "sides": sides})
        figures = [f"{side} {r.get('error') or round(r['steps_per_cpu_s'])}" for side, r in sides.items()]
        print(f"{case}: {', '.join(figures)}", file=sys.stderr, flush=True)
    report["memory"] = {name: ours("--memory-worker", name) for name in args.memory}
    print(as_markdown(report))
    if args.write:
        write_report("training", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
