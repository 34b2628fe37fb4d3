"""Finding, running and writing config files."""

import os
import subprocess
import sys

import pytest
from easydict import EasyDict

from dimix.config.compile import compile_all
from dimix.config.file import find_config, read_config, read_written_config, write_config, zoo_configs
from dimix.errors import ConfigError
from dimix.machine.plain import flat

GOOD = """
from easydict import EasyDict
main_config = EasyDict(env=dict(map_name="two_step"), policy=dict(learn=dict(batch_size=8)))
create_config = EasyDict(
    env=dict(type="matrix_game", import_names=["dizoo.matrix_game.envs.matrix_game_env"]), policy=dict(type="qmix")
)
"""


def write(folder, text, name="my_config.py"):
    path = folder / name
    path.write_text(text)
    return path


def test_zoo_paths_work_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "dizoo/smac/config/smac_MMM_qmix_config.py"
    assert find_config(name).parts[-4:] == tuple(name.split("/"))
    assert find_config("smac_MMM_qmix_config.py") == find_config(name)
    assert len(zoo_configs()) >= 23


def test_own_file_wins_over_the_zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "dizoo/smac/config/smac_MMM_qmix_config.py"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    assert find_config("dizoo/smac/config/smac_MMM_qmix_config.py") == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "main_confg = {}",
            r"bad_config.py: no 'main_config' in the file. Did you mean 'main_confg'\? A config file sets",
        ),
        ("main_config = {}", r"bad_config.py: no 'create_config' in the file."),
        ("main_config = 3\ncreate_config = {}", r"bad_config.py: main_config is a int. Make it a dict"),
        ("x = 1\nmain_config = dict(a=1", r"bad_config.py line 2: '\(' was never closed"),
        ("import os\nimport no_such_thing", r"bad_config.py line 2: import failed: No module named 'no_such_thing'"),
        ("a = 1\nb = 0\na / b", r"bad_config.py line 3: running the file raised ZeroDivisionError"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path, text, "bad_config.py"))


def test_missing_files_name_the_nearest(tmp_path):
    with pytest.raises(
        ConfigError, match=r"smac_MM_qmix_config.py: no such config file. Nearest: 'smac_MMM_qmix_config.py'"
    ):
        find_config("dizoo/smac/config/smac_MM_qmix_config.py")
    with pytest.raises(ConfigError, match="this is a folder"):
        find_config(tmp_path)


def test_messages_name_the_file(tmp_path):
    path = write(tmp_path, GOOD.replace("batch_size", "batchsize"))
    with pytest.raises(ConfigError, match=r"policy.learn.batchsize \(in my_config.py\): unknown key"):
        compile_all(path)


def test_user_module_beside_the_config_file_is_found(tmp_path):
    write(
        tmp_path,
        "from dimix.registry import POLICY_REGISTRY\nfrom dimix.policy import QMIXPolicy\n"
        "@POLICY_REGISTRY.register('beside')\nclass Beside(QMIXPolicy):\n    'QMIX, again.'\n",
        "policy_beside_config.py",
    )
    path = write(tmp_path, GOOD.replace('type="qmix"', 'type="beside", import_names=["policy_beside_config"]'))
    compiled = compile_all(path)
    assert compiled.policy_class.__name__ == "Beside"
    assert compiled.cfg.policy.type == "beside"


def test_written_config_compiles_to_the_same(tmp_path):
    cfg = compile_all(write(tmp_path, GOOD), seed=7).cfg
    main = {k: v for k, v in cfg.items() if k != "create_config"}
    path = tmp_path / "total_config.py"
    write_config(path, main, cfg.create_config, "Resolved.")
    assert compile_all(path).cfg == cfg


def test_written_config_is_read_back_as_data(tmp_path):
    """Values of every kind, among other lines."""
    main = {"seed": 3, "env": {"name": "it's", "sizes": [1, 2.5, None], "empty": {}}, "on": True}
    create = {"env": {"type": "smac", "import_names": ["mine"]}}
    write_config(tmp_path / "c.py", main, create, "A run.")
    lines = (tmp_path / "c.py").read_text().replace("main_config =", "HERE = str(1)\nmain_config =", 1)
    write(tmp_path, lines + "main_config.env.name = HERE\n", "c.py")
    assert read_written_config(tmp_path / "c.py") == (main, create)
    assert list(flat(main)) == [
        ("seed", 3), ("env.name", "it's"), ("env.sizes", [1, 2.5, None]), ("env.empty", {}), ("on", True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read .No such file"),
        ("main_config = EasyDict({'a': 1})\n", "not the total_config.py of a run .KeyError: 'create_config'"),
        ("main_config = EasyDict({'a': print('ran')})\n", "not the total_config.py of a run .ValueError"),
        ("main_config = {'a': 1}\n", "KeyError: 'main_config'"),
        ("main_config = (", "SyntaxError"),
    ],
)
def test_files_that_are_no_written_config_are_not_run(tmp_path, capsys, text, message):
    if text is not None:
        write(tmp_path, text, "c.py")
    with pytest.raises(ConfigError, match=message):
        read_written_config(tmp_path / "c.py")
    assert capsys.readouterr().out == ""


def test_sizes_in_files_of_earlier_runs_are_derived_again(tmp_path):
    """They stated what follows from the settings, too; a file of the user's own that does is held to it."""
    cfg = compile_all(write(tmp_path, GOOD)).cfg
    main = {k: v for k, v in cfg.items() if k != "create_config"}
    more = ["env.map_name=climbing", "env.collector_env_num=3"]
    write_config(tmp_path / "old.py", main, cfg.create_config, "Resolved config of the run seed0.")
    assert compile_all(tmp_path / "old.py", overrides=more).cfg.policy.model.action_shape == 3
    write_config(tmp_path / "own.py", main, cfg.create_config, "My config.")
    with pytest.raises(ConfigError, match=r"policy.collect.env_num \(in own.py\): .*, but env.collector_env_num = 3"):
        compile_all(tmp_path / "own.py", overrides=more[1:])


def test_file_that_runs_itself_is_named_in_messages(tmp_path):
    text = GOOD.replace("batch_size", "batchsize") + (
        "if __name__ == '__main__':\n    from dimix.entry import serial_pipeline\n"
        "    serial_pipeline((main_config, create_config), seed=0)\n"
    )
    done = subprocess.run(
        [sys.executable, write(tmp_path, text).name], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode != 0
    assert "policy.learn.batchsize (in my_config.py): unknown key. Did you mean 'batch_size'?" in done.stderr


def test_nested_easydicts_become_plain(tmp_path):
    source = read_config((EasyDict(a=EasyDict(b=(1, 2))), EasyDict()))
    assert type(source.main["a"]) is dict and source.main == {"a": {"b": [1, 2]}}
    assert source.stem == "dimix"
