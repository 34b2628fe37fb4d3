"""From a checkpoint to the team that it holds, without the environment and the learner that it was trained with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from easydict import EasyDict

from dimix.config.checks import DERIVED, agent_input
from dimix.config.file import import_modules
from dimix.config.inputs import use_kept
from dimix.envs.vec_env import EnvInfo
from dimix.errors import CheckpointError
from dimix.machine.plain import plain
from dimix.model import QMix
from dimix.model.recurrent import RECURRENT_LAYERS
from dimix.team.files import find_checkpoint, read_any, saved_sizes
from dimix.team.runner import FORMAT, VERSION, Team


def load_team(path: str | Path, info: EnvInfo | None = None) -> Team:
    """Load a trained team to act with, without its environment or anything of training.

    Args:
        path: ``zoo:NAME`` (`dimix -q zoo` lists them), a run folder, a checkpoint, or an exported ``.npz``.
        info: of another map that it is to play, for agents of any size (``policy.model.any_size``); None plays its own.

    Raises:
        CheckpointError: there is none, its agents cannot be played without their training, or not in another map.
    """
    if Path(path).suffix == ".npz":
        if info is not None:
            raise CheckpointError(f"{path}: an exported team has the size of its map. Right is its run or checkpoint.")
        try:
            return Team.load(path)
        except (OSError, ValueError) as e:
            raise CheckpointError(str(e)) from e
    found = find_checkpoint(path)
    return team_of(read_any(found), found, info)


def team_of(content: Mapping[str, Any], path: Path, info: EnvInfo | None = None) -> Team:
    """The team of a checkpoint's content; see `load_team`."""
    network = network_of(content, path, info)
    main, info = EasyDict(content["config"]["main"]), info or EnvInfo(**saved_sizes(content))
    joined, model = agent_input(main.env, info), {**QMix.config, **main.policy.model}
    header = dict(
        format=FORMAT,
        version=VERSION if model["entity_net"] == "hypernet" else 1,
        name=info.name,
        trained=f"{content['config']['create']['policy']['type']}, seed {main.seed}",
        agent_num=info.agent_num,
        obs_shape=info.obs_shape,
        action_shape=info.action_shape,
        state_size=network.state_size,
        last_action=joined.last_action,
        agent_id=joined.agent_id,
        memory=RECURRENT_LAYERS[model["lstm_type"]],
        linear_layers=len(model["hidden_size_list"]),
        groups=network.groups,
        entities=DERIVED["policy.model.entities"](main, info) if model["equivariant"] else [],
    )
    weights = {_plain_name(name): value.numpy() for name, value in network.agent.spelled_out().items()}
    return Team(plain(header), weights)


def network_of(content: Mapping[str, Any], path: Path, info: EnvInfo | None = None) -> QMix:
    """The network that evaluations play with, on the CPU, without a mixer; for another map if ``info`` is given.

    Raises:
        CheckpointError: a policy or model of the user's own that acts in its own way, or weights that do not fit.
    """
    _refuse_own_ways(content, path)
    main, info = EasyDict(content["config"]["main"]), info or EnvInfo(**saved_sizes(content))
    options = {name: value for name, value in main.policy.model.items() if name in QMix.config}
    options |= {key.rpartition(".")[2]: derive(main, info) for key, derive in DERIVED.items() if ".model." in key}
    network = QMix(**{**options, "type": "qmix", "mixer": "none", "fused": False})
    saved = content["rooms"]["policy"]["learn"]
    averaged = main.policy.learn.get("average_theta", 1.0) < 1
    weights = saved["averaged_model" if averaged and "averaged_model" in saved else "model"]
    own = {name: value.float() for name, value in weights.items() if name.startswith("agent.")}
    try:
        network.load_state_dict(own)
    except RuntimeError as e:
        of = "of its config" if content["env"]["name"] == info.name else f"of {info.name}"
        raise CheckpointError(f"checkpoint {path}: its agents are not those {of}: {_line(e)}") from e
    return network.eval().requires_grad_(False)


def _refuse_own_ways(content: Mapping[str, Any], path: Path) -> None:
    """Raise a CheckpointError if a class of the user's own does not act as `QMix` and `ValuePolicy` do."""
    create, main = content["config"]["create"], content["config"]["main"]
    names = [name for name in create["policy"]["import_names"] if name.partition(".")[0] != "dimix"]
    if not names:
        return
    use_kept(content.get("inputs", {}), path.parent.parent)
    if problems := import_modules(names, "create_config.policy.import_names", path.name):
        raise CheckpointError("\n".join(problems))
    from dimix.config.classes import default_model_of  # what trains is imported only to look at its classes
    from dimix.policy.acting import ValuePolicy
    from dimix.registry import MODEL_REGISTRY, POLICY_REGISTRY

    policy: Any = POLICY_REGISTRY.get(create["policy"]["type"])
    model: Any = MODEL_REGISTRY.get(main["policy"]["model"].get("type") or default_model_of(policy))
    for cls, base, methods in ((policy, ValuePolicy, ("_forward_eval", "_act")), (model, QMix, ("forward_step",))):
        for method in methods:
            if getattr(cls, method, None) is not getattr(base, method):
                raise CheckpointError(
                    f"checkpoint {path}: {cls.__module__}.{cls.__name__} acts in its own way ({method}). Right is a "
                    f"subclass of {base.__name__} that leaves {method} as it is."
                )


def _plain_name(name: str) -> str:
    """A parameter's name, the same for every kind of memory: ``memory.0.weight_ih``."""
    name = re.sub(r"^memory\.(?:layers\.(\d+)\.)?(?:cell\.)?", lambda found: f"memory.{found[1] or 0}.", name)
    return name.removesuffix("_l0")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
