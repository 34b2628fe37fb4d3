"""Seeds on a Ray cluster of two nodes, of which one is lost."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from dimix.config.compile import compile_all
from dimix.entry import run_seeds
from dimix.entry.tune import tune
from dimix.errors import ConfigError
from dimix.machine.ray_jobs import RayCluster

ray = pytest.importorskip("ray", reason="needs the extra ray")
REPO = Path(__file__).resolve().parents[3]
OWN_MODULE = """
from dimix.policy import QMIXPolicy
from dimix.registry import POLICY_REGISTRY


@POLICY_REGISTRY.register("own")
class Own(QMIXPolicy):
    pass
"""


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Two nodes with one core each; the driver's node has none."""
    from ray.cluster_utils import Cluster

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{REPO}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    memory = dict(object_store_memory=100_000_000, include_dashboard=False)
    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, **memory))
    cluster.nodes = [cluster.add_node(num_cpus=1, object_store_memory=100_000_000) for _ in range(2)]
    yield cluster
    cluster.shutdown()


def test_a_lost_nodes_run_goes_on_elsewhere(cluster, game_config, tmp_path, runs, monkeypatch):
    (tmp_path / "own_policy.py").write_text(OWN_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    main, create = game_config()
    create["policy"] = dict(type="own", import_names=["own_policy"])
    main["run"]["checkpoint_interval_s"] = 0.5
    main["env"]["stop_value"] = 100
    lines = []

    def lose_a_node():
        latest = [tmp_path / f"study/seed{seed}/ckpt/latest.pth.tar" for seed in (0, 1)]
        deadline = time.monotonic() + 300
        while not all(path.exists() for path in latest) and time.monotonic() < deadline:
            time.sleep(0.1)
        cluster.remove_node(cluster.nodes[0], allow_graceful=False)

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    status = run_seeds((main, create), (0, 1), ray=cluster.address, exp_name="study", env_step=4000, out=lines.append)
    killer.join()
    said = "\n".join(lines)
    assert status == 0, said
    assert said.count("its node is gone") == 1, said
    results = [json.loads((tmp_path / f"study/seed{seed}/result.json").read_text()) for seed in (0, 1)]
    assert [r["seed"] for r in results] == [0, 1] and all(r["env_step"] >= 4000 for r in results)
    assert sorted(p.name for p in (tmp_path / "study").iterdir()) == ["seed0", "seed1"]
    lost = said.partition(": its node is gone")[0][-1]
    alone = dict(exp_name="alone", env_step=4000, out=lines.append, jobs=1)
    assert run_seeds((main, create), (int(lost),), **alone) == 0
    assert runs.rows(tmp_path / f"study/seed{lost}") == runs.rows(tmp_path / f"alone/seed{lost}")


def test_a_search_uses_all_nodes(cluster, game_config, tmp_path):
    pytest.importorskip("optuna", reason="needs the extra tune")
    rate, lines = "policy.learn.learning_rate", []
    search = dict(trials=4, env_step=300, exp_name="study", pruner="none", out=lines.append)
    assert tune(game_config(), [f"{rate}=log:1e-4:1e-2"], ray=cluster.address, **search) == 0
    assert lines[0] == f"4 trials of 300 env steps, 2 at a time on the Ray cluster {cluster.address}, in study/"
    assert "4 of 4 trials trained to the end" in lines
    configs = [compile_all(tmp_path / f"study/trial{n}/total_config.py").cfg for n in range(4)]
    rates = [cfg.policy.learn.learning_rate for cfg in configs]
    assert rates[0] == 0.001 and len(set(rates)) == 4
    assert all(f"({rate}={value:.4g})" in "\n".join(lines) for value in rates)
    best = compile_all(tmp_path / "study/best_config.py").cfg.policy.learn.learning_rate
    assert any(best == pytest.approx(value) for value in rates)


def test_an_address_that_does_not_answer_is_one_line():
    with pytest.raises(ConfigError, match=r"^--ray 127.0.0.1:1: no Ray cluster answers .*\. Start one with: ray start"):
        RayCluster("127.0.0.1:1").room()
