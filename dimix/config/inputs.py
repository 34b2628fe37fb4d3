"""What a run reads besides its config: files named by its environment, and the user's own modules.

A run keeps a copy of each in its folder and a digest in every checkpoint. The run can therefore be evaluated and
resumed from anywhere, and a changed file under the same name is detected.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from dimix.envs.family import EnvFamily
from dimix.errors import ConfigError, OutputError

#: Folder of the copies in a run folder, and the subfolder for modules.
INPUTS, MODULES = "inputs", "modules"
_SHIPPED = {"dimix", "dizoo"}
_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class RunInput:
    """A file or module that a run reads.

    Attributes:
        name: config key that holds its path (``env.map_name``), or the module's name.
        path: its file.
        files: contents by path below `INPUTS`: its own file first, then the files it refers to.
    """

    name: str
    path: Path
    files: Mapping[str, bytes]

    @property
    def place(self) -> str:
        """Path of its own file below `INPUTS`."""
        return next(iter(self.files))

    @property
    def is_module(self) -> bool:
        """Whether it is a Python module; otherwise a config key holds its path."""
        return self.place.startswith(f"{MODULES}/")

    @property
    def digest(self) -> str:
        """SHA-256 of all contents and file names; folder names do not count."""
        contents = [(place, hashlib.sha256(content).hexdigest()) for place, content in self.files.items()]
        return hashlib.sha256(repr(contents).encode()).hexdigest()

    def entry(self) -> dict[str, str]:
        """What a checkpoint stores about it."""
        return {"place": self.place, "digest": self.digest, "path": str(self.path)}


def read_inputs(env_class: type[EnvFamily], cfg: Mapping[str, Any]) -> tuple[RunInput, ...]:
    """Read everything besides the config that a run uses. Its modules must already be imported.

    Raises:
        ConfigError: a file cannot be read, or two files of one key have the same name.
    """
    named = env_class.input_files(cfg["env"])
    modules = _own_modules(name for branch in cfg["create_config"].values() for name in branch["import_names"])
    return (
        *(_file_input(f"env.{key}", files) for key, files in named.items() if files),
        *(_module_input(module) for module in modules),
    )


def keep_inputs(inputs: Iterable[RunInput], run_folder: Path) -> None:
    """Copy inputs into a run folder, except those already there.

    Raises:
        OutputError: a copy cannot be written.
    """
    for place, content in (item for run_input in inputs for item in run_input.files.items()):
        path = run_folder / INPUTS / place
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        except OSError as e:
            raise OutputError(f"{path}: cannot be written ({e.strerror}).") from e


def use_kept(saved: Mapping[str, Mapping[str, str]], run_folder: Path) -> list[str]:
    """Redirect a checkpoint's inputs (`RunInput.entry` by name) to the copies in its run folder, where they exist.

    Returns:
        ``key=path`` overrides; copied modules are added to Python's path.
    """
    kept = run_folder.resolve() / INPUTS
    if (kept / MODULES).is_dir() and str(kept / MODULES) not in sys.path:
        sys.path.insert(0, str(kept / MODULES))
    places = {name: entry["place"] for name, entry in saved.items()}
    return [
        f"{name}={kept / place}"
        for name, place in places.items()
        if not place.startswith(f"{MODULES}/") and (kept / place).is_file()
    ]


def find_changes(saved: Mapping[str, Mapping[str, str]], inputs: Iterable[RunInput]) -> list[str]:
    """One line for each saved input that is now missing or different."""
    now = {run_input.name: run_input for run_input in inputs}
    return [
        f"{name}: {now[name].path if name in now else 'no file'} is not what the run read ({entry['path']} then)"
        for name, entry in saved.items()
        if name not in now or now[name].digest != entry["digest"]
    ]


def find_strays(saved: Mapping[str, Mapping[str, str]], run_folder: Path) -> list[str]:
    """One line for each original file that has changed while the run keeps using its copy."""
    lines = []
    for name, entry in saved.items():
        first, kept = Path(entry["path"]), run_folder / INPUTS / entry["place"]
        if first.is_file() and kept.is_file() and first.read_bytes() != kept.read_bytes():
            lines.append(f"{name}: {first} has changed since; the run keeps to its copy {kept}")
    return lines


def from_origin(inputs: Iterable[RunInput], saved: Mapping[str, Mapping[str, str]]) -> tuple[RunInput, ...]:
    """The same inputs with the paths from which the run first read them."""
    return tuple(replace(i, path=Path(saved[i.name]["path"])) if i.name in saved else i for i in inputs)


def _file_input(key: str, files: Sequence[Path]) -> RunInput:
    """Files below the named file's folder keep their relative paths; others are placed next to it."""
    root = files[0].parent
    brought = {f.relative_to(root) if f.is_relative_to(root) else Path(f.name): f for f in files[1:]}
    contents = {f"{key}/{place.as_posix()}": _read(key, f) for place, f in sorted(brought.items())}
    own = f"{key}/{files[0].name}"
    if len(brought) < len(files) - 1 or own in contents:
        raise ConfigError(f"{key}: {', '.join(map(str, files))}: two with one name. Rename one.")
    return RunInput(key, files[0].resolve(), {own: _read(key, files[0]), **contents})


def _module_input(module: ModuleType) -> RunInput:
    path = Path(str(module.__file__))
    folders = module.__name__.split(".")[: None if hasattr(module, "__path__") else -1]
    return RunInput(module.__name__, path, {"/".join((MODULES, *folders, path.name)): _read(module.__name__, path)})


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise ConfigError(f"{name}: {path}: cannot be read ({e.strerror}).") from e


def _own_modules(names: Iterable[str]) -> list[ModuleType]:
    """The user's own modules among these, their parent packages and their imports: not shipped, not installed."""
    found: dict[str, ModuleType] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if module is not None and name not in found and _is_own(module):
            found[name] = module
            waiting += [name.rpartition(".")[0], *_imported(module)]
    return [found[name] for name in sorted(found)]


def _is_own(module: ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None)  # None for built-in modules and folders without __init__.py
    if file is None or top in _SHIPPED | sys.stdlib_module_names:
        return False
    return _INSTALLED.isdisjoint(Path(file).parts)


def _imported(module: ModuleType) -> Iterator[str]:
    """Names imported by a module's source; some are attributes rather than modules."""
    path = Path(str(module.__file__))
    for node in ast.walk(ast.parse(path.read_bytes())) if path.suffix == ".py" else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (module.__package__ or not node.level):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
