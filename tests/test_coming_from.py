"""docs/coming-from.md: what it says things are called here is what they are called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dimix.cli import command
from dimix.config.classes import import_known
from dimix.config.compile import compile_config, full_schema
from dimix.config.keys import CREATE_CONFIG
from dimix.config.schema import Key, class_schema, dict_schema, walk
from dimix.registry import CALLBACK_REGISTRY, ENV_REGISTRY, MIXER_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY

PAGE = (Path(__file__).resolve().parent.parent / "docs/coming-from.md").read_text("utf-8")
KEY = re.compile(r"((?:policy|env|run|create_config)(?:\.\w+)+)(?:=(.*))?")
BRANCH = re.compile(r"run\.callbacks\.(\w+)=({.*})")


def rows() -> list[list[str]]:
    """Cells of all rows of all tables: theirs, here, what differs."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| theirs", "| ---"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.fixture(scope="module")
def keys() -> dict[str, list[Key]]:
    """Every key of every environment, policy, model, mixer and callback, by its dotted name."""
    import_known()
    callbacks = {name: CALLBACK_REGISTRY.get(name) for name in CALLBACK_REGISTRY.names()}
    schemas = [dict_schema({"create_config": CREATE_CONFIG}, {}), full_schema(None, None, None, callbacks)]
    schemas += [full_schema(ENV_REGISTRY.get(name), None, None) for name in ENV_REGISTRY.names()]
    schemas += [full_schema(None, POLICY_REGISTRY.get(name), None) for name in POLICY_REGISTRY.names()]
    models = [*map(MODEL_REGISTRY.get, MODEL_REGISTRY.names()), *map(MIXER_REGISTRY.get, MIXER_REGISTRY.names())]
    schemas += [{"policy": {"model": class_schema(cls)}} for cls in models]
    found: dict[str, list[Key]] = {}
    for schema in schemas:
        for name, key in walk(schema):
            found.setdefault(name, []).append(key)
    return found


def value_of(text: str) -> Any:
    return eval(text, {"__builtins__": {}, "dict": dict, "True": True, "False": False})


def takes(key: Key, text: str) -> bool:
    try:
        key.coerce(value_of(text))
    except ValueError:
        return False
    return True


def check(word: str, keys: dict[str, list[Key]]) -> None:
    """A key, with a value that it takes; an import that works; or an option of the command."""
    if branch := BRANCH.fullmatch(word):
        assert branch[1] in CALLBACK_REGISTRY.names() and isinstance(value_of(branch[2]), dict), word
    elif setting := KEY.fullmatch(word):
        assert setting[1] in keys, f"no key {setting[1]}"
        assert setting[2] is None or any(takes(key, setting[2]) for key in keys[setting[1]]), word
    elif word.startswith("from dimix"):
        exec(word, {})
    else:
        option, _, choice = word.partition(" ")
        known = {o: parameter for parameter in command.params for o in parameter.opts}
        assert option in known, f"{word}: neither a key, an import nor an option"
        assert not choice or choice in known[option].type.choices, word


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_what_things_are_called_here(row, keys):
    theirs, here, differs = row
    assert theirs and (here == "-" or quoted(here)), "every row says what there is here, or that there is nothing"
    for word in quoted(here):
        check(word, keys)
    for word in quoted(differs):
        if KEY.fullmatch(word):
            check(word, keys)


def test_registered_names_that_the_page_gives(keys):
    for branch, registry in (("env", ENV_REGISTRY), ("policy", POLICY_REGISTRY)):
        named = set(re.findall(rf'`create_config\.{branch}\.type="(\w+)"`', PAGE))
        assert named and named <= set(registry.names())


def test_what_a_check_would_find(keys):
    """The checks above are able to fail."""
    for word in (
        "policy.learn.batchsize",
        "policy.learn.batch_size=0",
        "--no-such",
        "-m dist",
        "run.callbacks.mlflow={}",
    ):
        with pytest.raises(AssertionError):
            check(word, keys)
    with pytest.raises(ImportError):
        check("from dimix.policy import COMAPolicy", keys)


def test_pymarls_setting_is_a_config():
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = {}
    exec(text, found)
    cfg = compile_config((found["main_config"], found["create_config"]))
    learn = cfg.policy.learn
    assert (learn.update_per_collect, cfg.policy.collect.n_episode, cfg.env.collector_env_num) == (1, 8, 8)
    assert (learn.target_update_interval, learn.td_lambda, learn.mask_dead_agents) == (200, 0.0, False)
    assert learn.optimizer_kwargs == {"alpha": 0.99, "eps": 1e-5}
