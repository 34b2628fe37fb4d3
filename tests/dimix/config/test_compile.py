"""Merging, checking and resolving a config."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest

from dimix.config.checks import lookup
from dimix.config.compile import compile_all, compile_config
from dimix.config.merge import Findings, OptionText, merge, set_option
from dimix.config.schema import dict_schema
from dimix.errors import ConfigError
from dimix.policy import Policy
from dimix.registry import POLICY_REGISTRY

SMAC = dict(env=dict(type="smac", import_names=["dizoo.smac.envs.smac_env"]), policy=dict(type="qmix"))


def smac(env=None, policy=None, **more):
    return dict(env=dict(map_name="MMM", **(env or {})), policy=policy or {}, **more), copy.deepcopy(SMAC)


def problems(config, **options) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compile_all(config, **options)
    return str(caught.value).splitlines()


def test_sizes_come_from_the_map():
    model = compile_config(smac()).policy.model
    # 160 observed + 16 last action + 10 agent id: the size that DI-engine's config for MMM states
    assert (model.agent_num, model.obs_shape, model.global_obs_shape, model.action_shape) == (10, 186, 290, 16)


@pytest.mark.parametrize(("switches", "size"), [((False, False), 160), ((True, False), 176), ((False, True), 170)])
def test_agent_input_follows_its_switches(switches, size):
    cfg = compile_config(smac(env=dict(obs_last_action=switches[0], obs_agent_id=switches[1])))
    assert cfg.policy.model.obs_shape == size


def test_sizes_that_contradict_the_map_are_named_with_both_numbers():
    lines = problems(
        smac(policy=dict(model=dict(obs_shape=204, global_obs_shape=[290], agent_num=9), collect=dict(env_num=8)))
    )
    assert lines[0] == "3 problems with this config:"
    assert "policy.model.agent_num (in main_config): 9, but MMM has 10. Use 10, or leave the key out." in lines[1]
    assert "204, but MMM has 186 (160 observed + 16 last action + 10 agent id). Use 186" in lines[2]
    assert "policy.collect.env_num (in main_config): 8, but env.collector_env_num = 32. Use 32" in lines[3]


def test_all_problems_are_reported_at_once():
    config = smac(
        env=dict(mapname="3m"),
        policy=dict(learn=dict(learning_rat=1e-3, batch_size="32"), batch_size=4, other=dict(eps=dict(type="liner"))),
        exp_nme="x",
    )
    lines = problems(config, overrides=["policy.learn.clip_value=-1", "nonsense"], seed=-1)
    assert lines[0] == "9 problems with this config:"
    expected = {
        "  -o nonsense: no key=value. Use -o dotted.key=value, for example -o policy.learn.batch_size=32.",
        "  env.mapname (in main_config): unknown key. Nearest: 'map_name', 'manager'.",
        "  policy.learn.learning_rat (in main_config): unknown key. Did you mean 'learning_rate'?",
        "  policy.learn.batch_size (in main_config): '32' is a str. Use an int >= 1.",
        "  policy.learn.clip_value (in -o): -1 is out of range. Use a float > 0.",
        "  policy.batch_size (in main_config): unknown key. It belongs at policy.learn.batch_size.",
        "  exp_nme (in main_config): unknown key. Did you mean 'exp_name'?",
        "  policy.other.eps.type (in main_config): 'liner'. Use one of 'linear', 'exp', 'cosine', 'constant'. "
        "Did you mean 'linear'?",
        "  seed (in --seed): -1 is out of range. Use an int >= 0.",
    }
    assert set(lines[1:]) == expected


def test_unknown_map_names_the_nearest():
    config = smac()
    config[0]["env"]["map_name"] = "3s5v"
    assert problems(config)[0].startswith("env.map_name (in main_config): no map '3s5v'. Nearest: '3s5z'")


def test_meaningless_keys_of_di_engine_get_a_line_each():
    config = smac(
        env=dict(
            difficulty=7,
            mirror_opponent=False,
            shared_memory=False,
            manager=dict(shared_memory=False, reset_timeout=6000),
        ),
        policy=dict(learn=dict(multi_gpu=False), other=dict(replay_buffer=dict(max_reuse=1e9, max_staleness=1e9))),
    )
    config[1]["env_manager"] = dict(type="subprocess")
    config[1]["collector"] = dict(type="episode", get_train_sample=True)
    compiled = compile_all(config)
    assert sorted(note.split(":")[0] for note in compiled.notes) == [
        "create_config.collector",
        "create_config.env_manager",
        "env.difficulty",
        "env.manager.shared_memory",
        "env.mirror_opponent",
        "env.shared_memory",
        "policy.learn.multi_gpu",
        "policy.other.replay_buffer.max_reuse",
        "policy.other.replay_buffer.max_staleness",
    ]
    assert "difficulty" not in compiled.cfg.env


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            dict(learn=dict(batch_size=64), other=dict(replay_buffer=dict(replay_buffer_size=32))),
            "64 is more than policy.other",
        ),
        (dict(priority_IS_weight=True), "policy.priority_IS_weight .*True without priorities"),
        (
            dict(learn=dict(target_update_freq=5, target_update_interval=200)),
            "target_update_interval .*200 episodes, but policy.learn.target_update_freq = 5 updates as well",
        ),
        (dict(learn=dict(reward_normalize=True, reward_standardise=True)), "reward_standardise .*Use one of the two"),
        (dict(learn=dict(priority_type="return")), "priority_type .*'return' without priorities. Set policy.priority"),
        (
            dict(priority=True, other=dict(replay_buffer=dict(anneal_step=9))),
            "anneal_step .*9, but there are no importance weights for beta to shape",
        ),
        (dict(learn=dict(n_step=3)), "policy.learn.n_step .*3, but policy.learn.target = 'td_lambda'. Use 'n_step'."),
        (dict(learn=dict(optimizer="adma")), "policy.learn.optimizer .*'adma' is not in torch.optim"),
        (
            dict(learn=dict(optimizer="lbfgs")),
            "policy.learn.optimizer .*'lbfgs' cannot train these networks: .*closure",
        ),
        (
            dict(learn=dict(optimizer_kwargs=dict(momentun=1))),
            "policy.learn.optimizer_kwargs .*adam refuses .*'momentun'.* Right are arguments of torch.optim.Adam.",
        ),
        (
            dict(model=dict(lstm_type="mlp"), collect=dict(unroll_len=8, burnin_len=4)),
            "policy.collect.burnin_len .*4, but agents of lstm_type 'mlp' have no memory. Use 0, or a GRU.",
        ),
        (dict(model=dict(lstm_type="mlp", rnn_layers=2)), "policy.model.rnn_layers .*2, but agents of lstm_type 'mlp'"),
        (
            dict(model=dict(hidden_size_list=[])),
            r"policy.model.hidden_size_list .*\[\]. Right is at least one positive",
        ),
        (
            dict(model=dict(state_encoder=dict(kernel_size=[3, 3, 3]))),
            r"policy.model.state_encoder .*'kernel_size': \[3, 3, 3\].*, but the global state is flat \(\d+ floats\)",
        ),
        (dict(collect=dict(burnin_len=4)), "policy.collect.burnin_len .*4, but whole episodes are sampled"),
        (dict(collect=dict(burnin_len=4, unroll_len=4)), "4, but unroll_len = 4. Use a burn-in shorter"),
        (dict(on_policy=True), "policy.on_policy .*learns from a replay buffer"),
        (dict(other=dict(eps=dict(start=0.1, end=0.5))), "0.5 is more than policy.other.eps.start = 0.1"),
        (dict(learn=dict(target_update_theta=0, target_update_freq=0)), "target network would never change"),
        (dict(cuda=True), "policy.cuda .*finds no such device"),
        (dict(model=dict(type="qmx")), "policy.model.type .*no model 'qmx'. Nearest: 'qmix', 'wqmix'"),
        (dict(type="other"), "'other', but create_config.policy.type = 'qmix'"),
        (3, "policy .in main_config.: 3 is not a branch"),
    ],
)
def test_combinations_that_cannot_work(policy, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=message):
        compile_all(smac(policy=policy))


@pytest.mark.parametrize(
    ("policy", "branch", "message"),
    [
        ("vdn", dict(model=dict(mixer=True)), "policy.model.mixer .*True. VDN's mix is the sum; use False"),
        ("iql", dict(model=dict(mixer=True)), "policy.model.mixer .*True. Independent learners have none; use False"),
        (
            "iql",
            dict(learn=dict(mask_dead_agents=True)),
            "policy.learn.mask_dead_agents .*True. An independent learner",
        ),
        ("qtran", dict(model=dict(mixer=True)), "policy.model.mixer .*True. QTRAN has a joint network"),
        ("qtran", dict(model=dict(type="qmix")), "policy.model .*QMix has no joint network. Use the model 'qtran'"),
        ("wqmix", dict(model=dict(type="qmix")), "policy.model .*QMix has no central network. Use the model 'wqmix'"),
        ("wqmix", dict(learn=dict(double_q=False)), "policy.learn.double_q .*False. WQMIX's target takes the actions"),
    ],
)
def test_what_a_policy_cannot_learn_from(policy, branch, message):
    main, create = smac(policy=branch)
    create["policy"]["type"] = policy
    with pytest.raises(ConfigError, match=message):
        compile_all((main, create))


def test_images_that_do_not_fit_their_encoder():
    def compiled(**model):
        main = dict(env=dict(map_name="two_step", image_state=True), policy=dict(model=model))
        return compile_all((main, dict(env=dict(type="matrix_game"), policy=dict(type="qmix"))))

    where = r"policy.model.state_encoder \(in main_config\): "
    with pytest.raises(
        ConfigError, match=where + r"convolution 1 \(channels 32, kernel_size 8, stride 4\) reads 6 x 6"
    ):
        compiled()
    with pytest.raises(ConfigError, match=where + "3 channels, 2 kernel_size, 3 stride. Right is one of each"):
        compiled(state_encoder=dict(kernel_size=[2, 2]))
    assert not compiled(mixer=False).notes  # a sum reads no state


def test_targets_copied_by_episodes_need_no_other_way():
    cfg = compile_config(smac(policy=dict(learn=dict(target_update_theta=0, target_update_interval=200))))
    assert cfg.policy.learn.target_update_interval == 200


def test_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"policy.device \(in --device\): 'cuda' asked for"):
        compile_all(smac(), device="cuda")
    with pytest.raises(ConfigError, match=r"policy.device \(in --device\): ''. Use 'auto', 'cpu'"):
        compile_all(smac(), device="")


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (dict(policy=dict(type="qmxi")), r"create_config.policy.type .*no policy 'qmxi'. Nearest: 'qmix', 'wqmix'"),
        (dict(env=dict(type="smc")), r"create_config.env.type .*no env 'smc'. Did you mean 'smac'"),
        (
            dict(env=dict(type="petting_zo", import_names=[])),
            "no env 'petting_zo'. Did you mean 'petting_zoo'. Known: .*lbf, matrix_game, petting_zoo, smac, smax",
        ),
        (
            dict(policy=dict(import_names=["no_such_module"])),
            "create_config.policy.import_names .*no module 'no_such_module'",
        ),
        (dict(policy=dict(typ="qmix")), r"create_config.policy.typ .*unknown key. Did you mean 'type'"),
    ],
)
def test_create_config_errors(create, message):
    main, base = smac()
    for branch, keys in create.items():
        base[branch].update(keys)
    with pytest.raises(ConfigError, match=message):
        compile_all((main, base))


@pytest.mark.parametrize(
    ("text", "dotted", "value"),
    [
        ("policy.learn.batch_size=1e1", "learn.batch_size", 10),
        ("policy.learn.learning_rate=1", "learn.learning_rate", 1.0),
        ("policy.model.hidden_size_list=[32, 16]", "model.hidden_size_list", [32, 16]),
        ("policy.collect.unroll_len=none", "collect.unroll_len", None),
        ("policy.learn.double_q=false", "learn.double_q", False),
        ("policy.learn.optimizer=rmsprop", "learn.optimizer", "rmsprop"),
        ("policy.learn.optimizer_kwargs={'weight_decay': 0.1}", "learn.optimizer_kwargs", {"weight_decay": 0.1}),
    ],
)
def test_options_take_the_type_of_their_key(text, dotted, value):
    found = compile_config(smac(), overrides=[text]).policy
    for name in dotted.split("."):
        found = found[name]
    assert found == value
    assert type(found) is type(value) or isinstance(found, dict)


@pytest.mark.parametrize(
    ("texts", "dotted", "value"),
    [
        (["policy.learn.optimizer_kwargs.weight_decay=1e-5"], "learn.optimizer_kwargs", {"weight_decay": 1e-5}),
        (["policy.learn.optimizer_kwargs.amsgrad=False"], "learn.optimizer_kwargs", {"amsgrad": False}),
        (["policy.learn.optimizer_kwargs.betas=(0.5,0.9)"], "learn.optimizer_kwargs", {"betas": [0.5, 0.9]}),
        (
            ["policy.model.parameter_sharing=groups", "policy.model.agent_groups.front=[0,1]"],
            "model.agent_groups",
            {"front": [0, 1]},
        ),
    ],
)
def test_options_below_a_free_dict_are_read_too(game_config, texts, dotted, value):
    main, create = game_config()
    main["policy"]["model"]["agent_groups"] = None  # as a saved config says it
    found = lookup(compile_config((main, create), overrides=texts).policy, dotted)
    assert repr(dict(found)) == repr(value)


def test_words_in_options_are_plain_texts_at_every_depth():
    given = {"options": {"kept": 1}}
    for key, text in (("render.mode", "rgb_array"), ("shown", "False"), ("render.size", "[4,x]")):
        set_option(given, f"options.{key}", OptionText(text), "-o", Findings("file"))
    options = merge(dict_schema({"options": {}}, {}), given, "", {}, Findings("file"))["options"]
    assert options == {"kept": 1, "render": {"mode": "rgb_array", "size": "[4,x]"}, "shown": False}
    assert type(options["render"]["mode"]) is type(options["render"]["size"]) is str


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer_kwargs.betas={1,2}", r"optimizer_kwargs.betas \(in -o\): \{1, 2\} \(set\) cannot be saved. Use"),
        ("optimizer_kwargs.eps=1e999", r"optimizer_kwargs.eps \(in -o\): inf cannot be saved. Use a finite number"),
        ("optimizer_kwargs.momentun=1", r"optimizer_kwargs \(in -o\): adam refuses \{'momentun': 1\}"),
        ("clip_value.x=1", r"clip_value.x \(in -o\): policy.learn.clip_value is 5 in main_config, not a branch"),
    ],
)
def test_messages_about_options_name_them(text, message):
    with pytest.raises(ConfigError, match="policy.learn." + message):
        compile_all(smac(policy=dict(learn=dict(clip_value=5))), overrides=[f"policy.learn.{text}"])


def test_a_free_dict_from_file_and_option_names_both():
    config = smac(policy=dict(learn=dict(optimizer_kwargs=dict(eps=1e-8))))
    with pytest.raises(ConfigError, match=r"optimizer_kwargs \(in main_config and -o\): adam refuses"):
        compile_all(config, overrides=["policy.learn.optimizer_kwargs.momentun=1"])


def test_numpys_values_become_pythons_own():
    learn = dict(learning_rate=np.logspace(-4, -3, 5)[2], batch_size=np.int64(8), double_q=np.bool_(False))
    policy = dict(learn=learn, model=dict(hidden_size_list=np.array([16, 16])))
    cfg = compile_config(smac(policy=policy), seed=np.int64(3), env_step=np.float64(1e4), exp_name=Path("runs/a"))
    found = [cfg.policy.learn[name] for name in learn] + [cfg.policy.model.hidden_size_list, cfg.seed, cfg.run.env_step]
    assert repr(found) == repr([float(learn["learning_rate"]), 8, False, [16, 16], 3, 10000])
    assert cfg.exp_name == str(Path("runs/a"))


@pytest.mark.parametrize("name", ["", "  ", "/"])
def test_run_folder_without_a_name(name):
    with pytest.raises(ConfigError, match=r"exp_name \(in --exp-name\): '.*' names no folder of its own. Give it"):
        compile_all(smac(), exp_name=name)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("env.collector_env_num=3", "policy.collect.env_num", 3),
        ("env.evaluator_env_num=3", "policy.eval.env_num", 3),
        ("env.obs_agent_id=False", "policy.model.obs_shape", 176),
        ("env.map_name=3m", "policy.model.agent_num", 3),
        ("create_config.policy.type=wqmix", "policy.model.type", "wqmix"),
    ],
)
def test_what_is_derived_is_derived_again(override, key, value):
    main, create = compile_all(smac()).settings()
    assert lookup(main, key) is None
    assert lookup(compile_config((main, create), overrides=[override]), key) == value


def test_an_option_may_repeat_what_is_derived():
    assert compile_config(smac(), overrides=["policy.model.agent_num=10"]).policy.model.agent_num == 10
    assert "9, but MMM has 10" in problems(smac(), overrides=["policy.model.agent_num=9"])[0]


def test_map_name_that_looks_like_a_number_stays_a_text():
    assert problems(smac(), overrides=["env.map_name=8"])[0].startswith("env.map_name (in -o): no map '8'.")


def test_option_wins_over_the_file_and_the_last_option_over_the_first():
    cfg = compile_config(
        smac(policy=dict(learn=dict(batch_size=8))),
        overrides=["policy.learn.batch_size=16", "policy.learn.batch_size=64"],
    )
    assert cfg.policy.learn.batch_size == 64


def test_compiling_leaves_the_users_dicts_alone():
    config = smac(env=dict(manager=dict(shared_memory=False)), policy=dict(learn=dict(batch_size=1e1)))
    before = copy.deepcopy(config)
    compile_all(config, overrides=["policy.learn.clip_value=3"], seed=4)
    assert config == before


def test_rooms_get_copies():
    compiled = compile_all(smac())
    compiled.branch("policy").learn.batch_size = 1
    assert compiled.cfg.policy.learn.batch_size == compile_config(smac()).policy.learn.batch_size


@pytest.mark.parametrize(
    ("exp_name", "asked", "seed", "expected"),
    [
        (None, None, 3, "dimix_result/seed3"),
        ("smac_MMM_qmix_seed0", None, 3, "smac_MMM_qmix_seed3"),
        ("mine", None, 3, "mine"),
        ("mine", "other_seed0", 3, "other_seed0"),
    ],
)
def test_run_folder_names(exp_name, asked, seed, expected):
    more = {} if exp_name is None else dict(exp_name=exp_name)
    assert compile_config(smac(**more), seed=seed, exp_name=asked).exp_name == expected


def test_what_was_compiled_compiles_again_to_the_same():
    cfg = compile_config(smac(policy=dict(learn=dict(batch_size=8))), seed=5)
    main = {k: v for k, v in cfg.items() if k != "create_config"}
    assert compile_config((main, cfg.create_config)) == cfg


def test_every_shipped_default_fits_its_own_comment():
    from dimix.config.compile import full_schema
    from dimix.config.schema import walk

    compiled = compile_all(smac())
    schema = full_schema(compiled.env_class, compiled.policy_class, compiled.model_class)
    for dotted, key in walk(schema):
        assert key.text, f"{dotted} has no comment"
        assert key.coerce(key.default) == key.default, dotted


def test_config_of_a_wrong_kind():
    with pytest.raises(ConfigError, match="config: found int. Give the path of a config file, or"):
        compile_all(3)  # type: ignore[arg-type]


def test_python_path_is_not_grown_by_every_compile():
    compile_all(smac())
    before = list(sys.path)
    compile_all(smac())
    assert sys.path == before


def test_incomplete_classes_are_named_with_what_they_lack(monkeypatch):
    half = type("Half", (Policy,), {"default_model": lambda self: ("qmix", [])})
    monkeypatch.setitem(POLICY_REGISTRY._classes, "half", half)
    (line,) = problems(({}, {**SMAC, "policy": dict(type="half")}))
    assert "create_config.policy.type" in line and "policy 'half': " in line
    assert "Half has no _forward_collect and no _forward_eval and no" in line
