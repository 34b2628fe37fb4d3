"""Which runs are seeds of one experiment, and what it is called."""

from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dimix.plot import Run
from dimix.plot.experiments import config_labels, group_runs, read_experiments
from dimix.plot.runs import read_runs


def names(groups):
    return {label: [run.folder.name for run in runs] for label, runs in groups.items()}


def test_one_folder_with_two_ways_of_training_is_two_experiments(run_folder, tmp_path):
    """What the README's first command and its second one leave behind; stop rule, logging and device play no part."""
    plain = dict(env__start_jitter=0.0, policy__model__equivariant=False)
    moved = dict(env__start_jitter=0.5, policy__model__equivariant=True)
    run_folder("r/seed0", seed=0, exp_name="r/seed0", env__stop_value=0.95, policy__device="cpu", **plain)
    run_folder("r/seed0_2", seed=0, exp_name="r/seed0", env__stop_value=2.0, policy__device="auto", **moved)
    run_folder("r/seed1", seed=1, exp_name="r/seed1", env__stop_value=2.0, run__env_step=5000, **plain)
    assert names(read_experiments([tmp_path / "r"], out=print)) == {
        "start_jitter=0.0, equivariant=False": ["seed0", "seed1"],
        "start_jitter=0.5, equivariant=True": ["seed0_2"],
    }


def test_the_same_config_in_two_folders_is_one_experiment_named_by_its_folder(run_folder, tmp_path):
    run_folder("lab/x/seed0", seed=0, env__map_name="3m")
    run_folder("lab/y/seed1", seed=1, env__map_name="3m")
    assert names(read_experiments([tmp_path / "lab"], out=print)) == {"x": ["seed0", "seed1"]}


def test_the_same_config_and_seed_again_is_not_a_second_seed(run_folder, tmp_path):
    short = "env_step,eval/battle_won\n0,0.0\n1000,1.0\n"
    run_folder("r/seed0", text=short, seed=0, env__map_name="3m")
    run_folder("r/seed0_2", seed=0, env__map_name="3m")
    run_folder("r/seed1", seed=1, env__map_name="3m")
    told = []
    assert names(read_experiments([tmp_path / "r"], told.append)) == {"r": ["seed0_2", "seed1"]}
    assert [line.replace(str(tmp_path), "") for line in told] == [
        "left out: /r/seed0 is the experiment and seed of /r/seed0_2 again, not a second seed"
    ]


def test_without_configs_the_folders_tell_and_a_line_says_so(run_folder, tmp_path):
    for name in ("a_qmix_result/seed0", "a_qmix_result/seed1_2", "b_qmix_seed0", "b_qmix_seed1", "c"):
        run_folder(name)
    told = []
    assert names(read_experiments([tmp_path], told.append)) == {
        "a_qmix_result": ["seed0", "seed1_2"],
        "b_qmix": ["b_qmix_seed0", "b_qmix_seed1"],
        "c": ["c"],
    }
    assert len(told) == 1 and told[0].startswith("no total_config.py that can be read, grouped by the folder's name: ")


def test_runs_with_and_without_config_in_one_folder_stay_apart(run_folder, tmp_path):
    run_folder("r/seed0", seed=0, env__map_name="3m")
    run_folder("r/seed1")
    groups = group_runs(read_runs([tmp_path / "r"], out=print))
    assert names(groups) == {"r": ["seed0"], "r (no config)": ["seed1"]}


def test_experiments_of_the_same_name_are_told_apart(tmp_path):
    groups = group_runs([Run(tmp_path / "x/run/seed0", {}), Run(tmp_path / "y/run/seed0", {})])
    assert list(groups) == ["x/run", "y/run"]


def test_labels_name_the_first_in_full_and_of_the_others_what_they_change():
    base = {"policy.learn.learning_rate": 0.001, "policy.learn.td_lambda": 0.8, "env.map_name": "3m"}
    slow = base | {"policy.learn.learning_rate": 0.0005}
    both = slow | {"policy.learn.td_lambda": 0.4}
    assert config_labels([base, slow, both]) == [
        "learning_rate=0.001, td_lambda=0.8",
        "learning_rate=0.0005",
        "learning_rate=0.0005, td_lambda=0.4",
    ]


def test_labels_leave_out_what_follows_from_other_keys():
    """A map brings its sizes along, an algorithm its own keys and the module that registers it."""
    maps = [{"env.map_name": name, "policy.model.obs_shape": size} for name, size in (("3m", 42), ("MMM", 176))]
    assert config_labels(maps) == ["map_name=3m", "map_name=MMM"]
    name, module = "create_config.policy.type", "create_config.policy.import_names"
    qmix = {"policy.type": "qmix", name: "qmix", module: []}
    mine = {"policy.type": "mine", name: "mine", module: ["my_qmix"], "policy.learn.weight": 0.5}
    assert config_labels([qmix, mine]) == ["type=qmix", "type=mine"]
    assert config_labels([mine, {**mine, "policy.learn.weight": 0.1}]) == ["weight=0.5", "weight=0.1"]
    assert config_labels([mine, {**mine, module: ["other"]}])[1] == "import_names=['other']"


def test_a_key_that_two_experiments_set_otherwise_is_told_though_a_third_has_no_such_key():
    still, moved, other = {"type": "smac", "jitter": 0.0}, {"type": "smac", "jitter": 0.5}, {"type": "matrix"}
    assert config_labels([still, moved, other]) == ["type=smac, jitter=0.0", "jitter=0.5", "type=matrix, jitter=-"]


def test_sizes_that_only_one_of_two_configs_states_make_no_second_experiment(tmp_path):
    stated = {"env.map_name": "3m", "policy.model.obs_shape": 42, "policy.type": "qmix"}
    assert len(group_runs([Run(tmp_path / "a", {}, stated), Run(tmp_path / "b", {}, {"env.map_name": "3m"})])) == 1


def test_labels_say_as_much_of_a_key_as_tells_it_from_another():
    configs = [
        {"env.start_jitter": 0.0, "env.evaluator.start_jitter": 0.0},
        {"env.start_jitter": 0.5, "env.evaluator.start_jitter": 0.1},
    ]
    assert config_labels(configs)[1] == "env.start_jitter=0.5, evaluator.start_jitter=0.1"


FREE = ["policy.model.entities", "run.env_step"]
KEYS = st.sampled_from(["env.a", "policy.a", "env.b.a", "create_config.policy.import_names", *FREE])
VALUES = st.sampled_from([None, "None", True, "True", 1, 0.5, [1], "x", ""])


@given(st.lists(st.dictionaries(KEYS, VALUES), min_size=1, max_size=6))
def test_runs_share_a_group_when_they_trained_the_same_and_no_label_hides_one(configs):
    runs = [Run(Path(f"run{number}"), {}, config) for number, config in enumerate(configs)]
    label = {run: name for name, group in group_runs(runs).items() for run in group}
    assert label.keys() == set(runs)
    trained = {run: sorted((k, repr(v)) for k, v in run.config.items() if k not in FREE) for run in runs}
    for one, other in combinations(runs, 2):
        assert (label[one] == label[other]) == (trained[one] == trained[other])


def test_seeds_may_differ_in_what_does_not_train_and_not_in_callbacks():
    free = {"run.stop_window": 5, "run.callbacks.wandb.project": "x", "env.replay.every": 1, "env.stop_value": 0.9}
    free |= {"exp_name": "x", "seed": 1, "policy.model.obs_shape": 3, "policy.device": "cpu", "run.train_iter": 5}
    watched = {"run.callbacks.watch.hours": 8, "create_config.callback.import_names": ["my_callback"], "run.x": 1}
    runs = [Run(Path(f"run{i}"), {}, {"env.a": 1, **more}) for i, more in enumerate(({}, free, watched))]
    assert sorted(map(len, group_runs(runs).values())) == [1, 2]
