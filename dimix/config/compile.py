"""Merge the user's config over the commented defaults of the classes it names, strictly.

`compile_all` checks everything before it creates a process, file or tensor, and reports all problems at once. Each
component gets a copy of its branch; a compiled config is never written to.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easydict import EasyDict

from dimix.config.checks import check_combination, fill_sizes, lookup, settle_workers, without_derived
from dimix.config.classes import default_model_of, find_callbacks, find_class, find_classes
from dimix.config.file import ConfigSource, read_config
from dimix.config.inputs import RunInput, read_inputs
from dimix.config.keys import IGNORED, schema_of
from dimix.config.merge import Findings, OptionText, merge, set_option, suggest_places
from dimix.config.schema import Key, Schema, class_ignored, class_schema, defaults, merge_schema
from dimix.envs.family import EnvFamily
from dimix.envs.vec_env import EnvInfo
from dimix.errors import DimixError
from dimix.machine.plain import plain, unwritable
from dimix.registry import MIXER_REGISTRY, mixer_name


@dataclass(frozen=True)
class CompiledConfig:
    """A config that passed all checks, and the classes it names.

    Attributes:
        cfg: resolved: ``exp_name, seed, run, env, policy, create_config``. Do not write to it; use `branch` for a copy.
        info: sizes of the environment.
        env_class: class named by ``create_config.env.type``.
        policy_class: class named by ``create_config.policy.type``.
        model_class: class that the policy builds its networks from.
        notes: one line for each key that has no meaning here, and for each setting that its class comments on.
        source: what the user wrote.
        inputs: other files and modules that the run reads.
    """

    cfg: EasyDict
    info: EnvInfo
    env_class: type[EnvFamily]
    policy_class: Any
    model_class: Any
    notes: list[str]
    source: ConfigSource
    inputs: tuple[RunInput, ...]

    def branch(self, name: str) -> EasyDict:
        """A copy of one branch."""
        return copy.deepcopy(self.cfg[name])

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Main and create config to save: without what is derived from the rest (see `settings_of`)."""
        main = plain({name: branch for name, branch in self.cfg.items() if name != "create_config"})
        return settings_of(main, self.policy_class), plain(self.cfg.create_config)


def compile_config(input_cfg: Any, **options: Any) -> EasyDict:
    """Compile a config and return only the resolved dict; see `compile_all` for the arguments."""
    return compile_all(input_cfg, **options).cfg


def settings_of(main: Mapping[str, Any], policy_class: Any) -> dict[str, Any]:
    """A resolved main config without derived values: sizes, environment counts, and the policy's default model."""
    kept = without_derived(main)
    model = kept["policy"]["model"] = model_options(kept["policy"]["model"], policy_class)
    if model.get("type") == default_model_of(policy_class):
        del model["type"]
    return kept


def model_options(model: Mapping[str, Any], policy_class: type) -> dict[str, Any]:
    """A config's model branch merged over the policy's own model defaults, with the mixer's registered name."""
    own = defaults(class_schema(policy_class)).get("model", {})
    options = {**model, **{key: value for key, value in own.items() if key not in model}}
    if "mixer" in options:
        options["mixer"] = mixer_name(options["mixer"], own.get("mixer"))
    return options


def compile_all(
    input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | ConfigSource,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    exp_name: str | None = None,
    env_step: int | None = None,
    train_iter: int | None = None,
    device: str | None = None,
    workers: int | str | None = None,
) -> CompiledConfig:
    """Check a config completely and fill in all defaults and sizes.

    Args:
        input_cfg: path of a config file, ``(main_config, create_config)``, or a `ConfigSource`.
        overrides: ``dotted.key=value`` texts that override the file, converted to the key's type. Keys of the
            create config start with ``create_config.``.
        seed: seed of the run; None keeps the config's.
        exp_name: run folder; None keeps the config's.
        env_step: env steps after which training stops; None keeps the config's.
        train_iter: updates after which training stops; None keeps the config's.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``; None keeps the config's.
        workers: processes that train together, or ``auto``; None keeps the config's.

    Returns:
        The resolved config and the classes that it names.

    Raises:
        ConfigError: all problems, one per line.
    """
    source = read_config(input_cfg)
    found = Findings(source.name)
    main = without_derived(source.main) if source.resolved else source.main
    given = {**copy.deepcopy(main), "create_config": copy.deepcopy(source.create)}
    named = {"seed": seed, "exp_name": exp_name, "run.env_step": env_step, "run.train_iter": train_iter}
    _apply_options(given, {**named, "run.workers": workers, "policy.device": device}, overrides, found)

    create_schema: Schema = {"create_config": schema_of("CREATE_CONFIG")}
    create = merge(create_schema, {"create_config": given.pop("create_config")}, "", IGNORED, found)["create_config"]
    env_class, policy_class, model_class = find_classes(create, lookup(given, "policy.model.type"), found)
    mixer = lookup(given, "policy.model.mixer")
    schema = full_schema(env_class, policy_class, model_class, find_callbacks(given, found), mixer)
    ignored = {**IGNORED, **_class_ignored("env", env_class), **_class_ignored("policy", policy_class)}
    unread = {name for name, cls in (("env", env_class), ("policy", policy_class)) if cls is None}
    merged = merge(schema, {k: v for k, v in given.items() if k not in unread}, "", ignored, found)
    suggest_places(schema, found)
    if faults := list(unwritable(merged)):  # an EasyDict cannot hold what cannot be saved
        for key, text in faults:
            found.report(key, text)
        found.raise_all()
    cfg = EasyDict(merged)
    cfg.create_config = create
    if model_class is not None:
        _fill_types(cfg, given, policy_class, found)
        if isinstance(mixer := cfg.policy.model.get("mixer"), str):
            find_class(MIXER_REGISTRY, mixer, "policy.model.mixer", found)

    info = _describe(env_class, cfg, found)
    if info is not None and model_class is not None:
        fill_sizes(cfg, info, lambda key: lookup(given, key), found.report)
    if not any(p.startswith("policy.") for p in found.problems):
        check_combination(cfg, found.report)
        if policy_class is not None and model_class is not None:
            _check_classes(cfg, policy_class, model_class, info, found)
            if not found.problems:
                settle_workers(cfg, policy_class.sums_gradients, found.report)
    found.raise_all()
    assert info is not None
    cfg.policy.model = EasyDict(model_options(cfg.policy.model, policy_class))
    cfg.exp_name = _run_folder(source, cfg, exp_name is not None)
    notes = found.notes + env_class.notes(copy.deepcopy(cfg.env))
    inputs = read_inputs(env_class, copy.deepcopy(cfg))
    return CompiledConfig(cfg, info, env_class, policy_class, model_class, notes, source, inputs)


def full_schema(
    env_class: Any,
    policy_class: Any,
    model_class: Any,
    callback_classes: Mapping[str, type] | None = None,
    mixer: Any = None,
) -> Schema:
    """Schema of a whole main config. A class that is None omits its branch; mixer None is the default."""
    schema = schema_of("RUN_CONFIG")
    if callback_classes:
        merge_schema(
            schema, {"run": {"callbacks": {name: class_schema(cls) for name, cls in callback_classes.items()}}}
        )
    if env_class is not None:
        schema["env"] = class_schema(env_class)
    if policy_class is not None:
        policy = schema["policy"] = policy_schema(policy_class)
        if model_class is not None:
            changed, model = policy.get("model"), class_schema(model_class)
            if isinstance(changed, dict):  # model defaults that the policy overrides
                merge_schema(model, changed)
            usual = model.get("mixer")
            mixer = mixer or (usual.default if isinstance(usual, Key) else None)
            if mixer in MIXER_REGISTRY.names():  # the mixer's own keys
                merge_schema(model, class_schema(MIXER_REGISTRY.get(mixer)))
            policy["model"] = model
    return schema


def policy_schema(policy_class: type) -> Schema:
    """Schema of a policy's branch, including the keys common to all policies."""
    schema = class_schema(policy_class)
    merge_schema(schema, schema_of("ROOMS_CONFIG"))
    return schema


def _apply_options(given: dict[str, Any], named: Mapping[str, Any], overrides: Sequence[str], found: Findings) -> None:
    for key, value in named.items():
        if value is not None:
            set_option(given, key, plain(value), f"--{key.rpartition('.')[2].replace('_', '-')}", found)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            found.problems.append(
                f"-o {text}: no key=value. Use -o dotted.key=value, for example -o policy.learn.batch_size=32."
            )
        else:
            set_option(given, key.strip(), OptionText(value.strip()), "-o", found)


def _fill_types(cfg: EasyDict, given: Mapping[str, Any], policy_class: Any, found: Findings) -> None:
    """Fill in the registered names of policy and model: a subclass inherits its base's defaults, but not its name."""
    name = cfg.create_config.policy.type
    if lookup(given, "policy.type") not in (None, name):
        found.report(
            "policy.type", f"{cfg.policy.type!r}, but create_config.policy.type = '{name}'. Leave this key out."
        )
    cfg.policy.type = name
    cfg.policy.model.type = str(lookup(given, "policy.model.type") or default_model_of(policy_class))


def _check_classes(cfg: EasyDict, policy_class: Any, model_class: Any, info: EnvInfo | None, found: Findings) -> None:
    """Combinations that the policy and the model rule out; a user's own model need not define any."""
    policy_class.check_config(cfg.policy, model_class, lambda key, text: found.report(f"policy.{key}", text))
    if info is not None and hasattr(model_class, "check_config"):
        model_class.check_config(cfg.policy.model, lambda key, text: found.report(f"policy.model.{key}", text))


def _class_ignored(branch: str, cls: Any) -> dict[str, str]:
    return {} if cls is None else {f"{branch}.{key}": reason for key, reason in class_ignored(cls).items()}


def _describe(env_class: type[EnvFamily] | None, cfg: EasyDict, found: Findings) -> EnvInfo | None:
    if env_class is None or any(p.startswith("env.") and "unknown key" not in p for p in found.problems):
        return None
    try:
        return env_class.describe(copy.deepcopy(cfg.env))
    except DimixError as e:
        key, colon, text = str(e).partition(": ")
        if colon and re.fullmatch(r"env(\.\w+)+", key):
            found.report(key, text)
        else:
            found.report("env", str(e))
        return None


def _run_folder(source: ConfigSource, cfg: EasyDict, asked_for: bool) -> str:
    """The run folder: as requested, or named after the config file and the seed.

    A folder in the config that ends in ``seed<number>`` (DI-engine's habit) follows the seed actually used.
    """
    if cfg.exp_name is None:
        return f"{source.stem}_result/seed{cfg.seed}"
    return cfg.exp_name if asked_for else re.sub(r"seed\d+$", f"seed{cfg.seed}", cfg.exp_name)
