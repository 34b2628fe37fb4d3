"""Config files: find them (zoo files from any folder), run them, and write the resolved config."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pprint
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dimix.config.inputs import INPUTS, MODULES, RunInput
from dimix.errors import ConfigError, first_line, nearest
from dimix.machine.plain import plain

ZOO = "dizoo"

#: First words of files from the time when `write_config` also wrote derived values.
RESOLVED = "Resolved config of the run"


@dataclass(frozen=True)
class ConfigSource:
    """The two dicts of a config as the user wrote them.

    Attributes:
        main: plain nested dict.
        create: plain nested dict.
        name: file name for messages, or ``main_config`` if there is no file.
        path: the file, None if the config was given as two dicts.
        resolved: whether it is a run's file that also contains derived values (`RESOLVED`).
    """

    main: dict[str, Any]
    create: dict[str, Any]
    name: str
    path: Path | None
    resolved: bool = False

    @property
    def stem(self) -> str:
        """The file name without ``_config``, from which run folders are named."""
        return self.path.stem.removesuffix("_config") if self.path else "dimix"


def read_config(input_cfg: str | Path | tuple[Mapping[str, Any], Mapping[str, Any]] | ConfigSource) -> ConfigSource:
    """Read the user's two dicts.

    Args:
        input_cfg: path of a config file (a zoo path works from any folder), or ``(main_config, create_config)``; a
            `ConfigSource` is returned unchanged.

    Raises:
        ConfigError: no such file (the message names the nearest zoo file), no ``main_config``, or an error in it.
    """
    if isinstance(input_cfg, ConfigSource):
        return input_cfg
    if isinstance(input_cfg, str | Path):
        path = find_config(input_cfg)
        module = import_file(path)
        main, create = (_dict_of(module, name, path) for name in ("main_config", "create_config"))
        return ConfigSource(main, create, path.name, path, _is_resolved(module))
    if not (
        isinstance(input_cfg, tuple | list) and len(input_cfg) == 2 and all(isinstance(c, Mapping) for c in input_cfg)
    ):
        raise ConfigError(
            f"config: found {type(input_cfg).__name__}. Give the path of a config file, or "
            "(main_config, create_config)."
        )
    main_module = sys.modules.get("__main__")
    script = getattr(main_module, "__file__", None)
    if script and getattr(main_module, "main_config", None) is input_cfg[0]:
        path = Path(script).resolve()
        return ConfigSource(plain(input_cfg[0]), plain(input_cfg[1]), path.name, path, _is_resolved(main_module))
    return ConfigSource(plain(input_cfg[0]), plain(input_cfg[1]), "main_config", None)


def find_config(name: str | Path) -> Path:
    """Find the file that a path names: as given, or in the installed zoo if it starts with ``dizoo/``.

    Raises:
        ConfigError: no such file; the message names the nearest zoo files.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    if path.parts[:1] == (ZOO,):
        for root in zoo_roots():
            if (root.parent / path).is_file():
                return (root.parent / path).resolve()
    known = {p.name: p for p in zoo_configs()}
    if path.is_dir():
        raise ConfigError(f"-c {name}: this is a folder. Give a config file, for example one of its *_config.py.")
    if path.name in known and path.parent == Path("."):
        return known[path.name]
    hint = nearest(path.name, known)
    raise ConfigError(
        f"-c {name}: no such config file.{hint} List the ready-made ones with: dimix -q config; "
        "paths that start with dizoo/ work from any folder."
    )


def zoo_roots() -> list[Path]:
    """Folders of the installed zoo package; empty if it is not installed."""
    spec = importlib.util.find_spec(ZOO)
    return [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []


def zoo_configs() -> list[Path]:
    """All zoo config files, sorted by path."""
    return sorted(p.resolve() for root in zoo_roots() for p in root.glob("*/config/*_config.py"))


def zoo_docs() -> dict[str, str]:
    """First docstring line of every zoo config, by its path as ``-c`` takes it (``dizoo/...``)."""
    docs = {path: first_line(ast.get_docstring(ast.parse(path.read_text("utf-8")))) for path in zoo_configs()}
    return {"/".join(path.parts[-4:]): doc for path, doc in docs.items()}


def import_file(path: Path) -> ModuleType:
    """Run a Python file as a module. Its folder is importable while it runs and afterwards.

    Raises:
        ConfigError: a syntax error (with its line) or an exception in the file, kept as the cause.
    """
    name = f"dimix_config_{path.stem}"
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"-c {path}: not a Python file. A config file ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as e:
        raise ConfigError(f"{path.name} line {e.lineno}: {e.msg}: {(e.text or '').strip()}") from e
    except ImportError as e:
        raise ConfigError(
            f"{path.name}{_line_in(e, path)}: import failed: {e}. Install or rename what is missing."
        ) from e
    except Exception as e:
        raise ConfigError(f"{path.name}{_line_in(e, path)}: running the file raised {type(e).__name__}: {e}") from e
    return module


def import_modules(names: Any, key: str, file: str) -> list[str]:
    """Import the modules of an ``import_names`` list; returns one problem line per module that failed."""
    problems = []
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a console script does not have it on its path
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as e:
            missing = f"no module '{e.name}'"
            hint = "" if e.name == name else f" (needed by {name})"
            problems.append(
                f"{key} (in {file}): {missing}{hint}. A module of your own must lie beside the config file, "
                "in the folder you start from, or be installed."
            )
        except ImportError as e:
            problems.append(f"{key} (in {file}): importing '{name}' failed: {e}.")
    return problems


def write_config(
    path: Path, main: Mapping[str, Any], create: Mapping[str, Any], head: str, inputs: Sequence[RunInput] = ()
) -> None:
    """Write a config as a file that runs again.

    ``head`` becomes the file's docstring. ``inputs`` are read from the copies next to the file (`keep_inputs`),
    wherever the folder is moved.
    """
    modules = any(i.is_module for i in inputs)
    keys = [f'main_config.{i.name} = str(HERE / "{i.place}")' for i in inputs if not i.is_module]
    imports = [*(["import sys"] if modules else []), *(["from pathlib import Path"] if inputs else [])]
    here = [f'HERE = Path(__file__).resolve().parent / "{INPUTS}"'] if inputs else []
    here += [f'sys.path.insert(0, str(HERE / "{MODULES}"))'] if modules else []
    text = "\n".join(
        [
            repr(head),
            "",
            *([*imports, ""] if imports else []),
            "from easydict import EasyDict",
            "",
            *([*here, ""] if here else []),
            f"main_config = EasyDict({_literal(main)})",
            *keys,
            "",
            f"create_config = EasyDict({_literal(create)})",
            "",
            'if __name__ == "__main__":',
            "    from dimix.entry import serial_pipeline",
            "",
            "    serial_pipeline((main_config, create_config), seed=main_config.seed)",
            "",
        ]
    )
    path.write_text(text, "utf-8")


def read_written_config(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read main and create config from a file by `write_config` as data, without running it.

    Raises:
        ConfigError: the file is missing, or not in the form that `write_config` writes.
    """
    try:
        found = dict(_literals(ast.parse(Path(path).read_text("utf-8"))))
        return found["main_config"], found["create_config"]
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read ({e.strerror}).") from e
    except (SyntaxError, ValueError, KeyError) as e:
        raise ConfigError(f"{path}: not the total_config.py of a run ({type(e).__name__}: {e}).") from e


def _literals(module: ast.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each ``name = EasyDict({...})``; raises a ValueError if one contains code.

    Other statements, such as setting paths, are skipped.
    """
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.Dict() as tree])):
                yield name, ast.literal_eval(tree)


def _literal(tree: Mapping[str, Any]) -> str:
    return pprint.pformat(plain(tree), width=100, sort_dicts=False)


def _is_resolved(module: Any) -> bool:
    return (module.__doc__ or "").startswith(RESOLVED)


def _dict_of(module: ModuleType, name: str, path: Path) -> dict[str, Any]:
    found = getattr(module, name, None)
    if found is None:
        names = [n for n in vars(module) if not n.startswith("_")]
        raise ConfigError(
            f"{path.name}: no '{name}' in the file.{nearest(name, names)} "
            "A config file sets main_config and create_config."
        )
    if not isinstance(found, Mapping):
        raise ConfigError(f"{path.name}: {name} is a {type(found).__name__}. Make it a dict or an EasyDict.")
    return plain(found)


def _line_in(error: BaseException, path: Path) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f" line {lines[-1]}" if lines else ""
