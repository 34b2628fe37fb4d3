"""Run jobs on a Ray cluster, as `dimix.machine.processes` runs them on the cores of this machine.

Each job works in an empty folder of its own on some node. The files that it writes come back to the same places below
the current folder here, so that a job whose node is lost goes on elsewhere from what came back last.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dimix.errors import ConfigError, DimixError, first_line
from dimix.machine.cores import ONE_THREAD
from dimix.machine.files import written_whole
from dimix.machine.processes import POLL_S, Child, Job, Watcher
from dimix.machine.signals import StopSignals

#: Seconds between two looks for files that a job has written.
SYNC_S = 2.0
#: Nodes that a job may lose before it counts as failed.
MAX_LOST = 5


@dataclass(frozen=True)
class RayCluster:
    """A cluster, and what its nodes get.

    Attributes:
        address: of its head node (``10.0.0.1:6379``), or ``auto`` for the one that runs on this machine.
        packages: importable packages whose code is sent to the nodes.
        files: folder whose content every job finds in its folder; None if there is none.
        cores: processor cores of a job.
        gpus: GPUs of a job.
    """

    address: str
    packages: tuple[str, ...] = ("dimix", "dizoo")
    files: Path | None = None
    cores: int = 1
    gpus: int = 0

    def run_jobs(self, jobs: Iterable[Job], at_a_time: int | None, watcher: Watcher) -> list[Child]:
        """See `dimix.machine.processes.run_jobs`; ``at_a_time`` None leaves the number to Ray.

        Raises:
            ConfigError: Ray is missing, or no cluster answers.
        """
        ray = self._connected()
        try:
            return _Queue(ray, self, watcher).run(iter(jobs), at_a_time)
        finally:
            ray.shutdown()

    def room(self) -> int:
        """Connect once and leave again; returns how many jobs the nodes can run at a time now, at least 1.

        Raises:
            ConfigError: Ray is missing, or no cluster answers.
        """
        ray = self._connected()
        there = ray.cluster_resources()
        ray.shutdown()
        by_kind = [there.get(kind, 0) // need for kind, need in (("CPU", self.cores), ("GPU", self.gpus)) if need]
        return max(int(min(by_kind)), 1)

    def _connected(self) -> Any:
        try:
            import ray
        except ImportError as e:
            raise ConfigError("--ray: the package ray is missing. Run: pip install 'dimix[ray]'") from e
        modules = [importlib.util.find_spec(name) for name in self.packages]
        env: dict[str, Any] = {
            "env_vars": ONE_THREAD,
            "py_modules": [list(m.submodule_search_locations or [])[0] for m in modules if m],
        }
        if self.files is not None:
            env["working_dir"] = str(self.files)
        try:
            _knock(self.address)
            ray.init(address=self.address, runtime_env=env, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as e:
            raise ConfigError(
                f"--ray {self.address}: no Ray cluster answers ({first_line(e).rstrip('.')}). Start one with: ray "
                "start --head; the other machines join with: ray start --address=HEAD:6379"
            ) from e
        return ray


def _knock(address: str) -> None:
    """Fail at once if nobody listens at ``host:port``; Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in host:
        socket.create_connection((host, int(port)), timeout=5.0).close()


def below_here(option: str, path: str | Path) -> str:
    """A path as the nodes of a cluster see it, relative to the folder in which they work.

    Raises:
        ConfigError: it is not below the current folder, to which results come back.
    """
    if not Path(path).resolve().is_relative_to(Path.cwd().resolve()):
        raise ConfigError(f"{option} {path}: outside of the current folder, to which --ray brings results back.")
    return os.path.relpath(path)


class _Task:
    """The place of a process in a `Child`."""

    def __init__(self, ray: Any, messages: Any) -> None:
        self._ray, self.messages, self.lost = ray, messages, 0

    def terminate(self) -> None:
        """End it, wherever it runs; what it has written since its files last came back is lost."""
        self._ray.cancel(self.messages, force=True)


class _Queue:
    def __init__(self, ray: Any, cluster: RayCluster, watcher: Watcher) -> None:
        self._ray, self._watcher = ray, watcher
        options = dict(num_cpus=cluster.cores, num_gpus=cluster.gpus, max_retries=0, num_returns="streaming")
        self._remote = ray.remote(**options)(work)

    def run(self, jobs: Iterator[Job], at_a_time: int | None) -> list[Child]:
        children, running = list[Child](), list[Child]()
        with StopSignals() as signals:
            while True:
                while jobs is not None and (at_a_time is None or len(running) < at_a_time) and not signals.received:
                    job = next(jobs, None)
                    if job is None:
                        break
                    children.append(Child(job, _Task(self._ray, self._start(job)), None))  # type: ignore[arg-type]
                    running.append(children[-1])
                if not running:
                    return children
                if signals.received:
                    for child in running:
                        child.signalled = True
                        child.process.terminate()
                        self._watcher.ended(child)
                    return children
                self._look(running)
                self._watcher.tick(running)

    def _start(self, job: Job) -> Any:
        files = {str(path): path.read_bytes() for pattern in job.sends for path in _below(Path(), pattern)}
        return self._remote.remote(job, files)

    def _look(self, running: list[Child]) -> None:
        """Wait a moment for news, and take one message of each job that has some."""
        by_messages = {child.process.messages: child for child in running}
        ready, _ = self._ray.wait(list(by_messages), timeout=POLL_S, num_returns=len(by_messages), fetch_local=False)
        for child in (by_messages[messages] for messages in ready):
            try:
                kind, content = self._ray.get(next(child.process.messages))
            except (self._ray.exceptions.RayError, StopIteration) as error:
                self._lost(child, error)
            else:
                self._take(child, kind, content)
            if child.result is not None or child.error is not None or child.signalled:
                running.remove(child)
                self._watcher.ended(child)

    def _take(self, child: Child, kind: str, content: Any) -> None:
        if kind == "line":
            self._watcher.line(child, content)
        elif kind == "files":
            for name, data in content.items():
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                with written_whole(Path(name)) as file:
                    file.write(data)
        elif kind == "result":
            child.result = content
        else:
            child.error = content

    def _lost(self, child: Child, error: Exception) -> None:
        """Start a job once more whose node is gone."""
        task = child.process
        if child.signalled:
            return
        task.lost += 1
        if task.lost > MAX_LOST:
            child.error = f"lost {task.lost} times, the last time with {type(error).__name__}: {first_line(error)}"
            return
        self._watcher.line(child, f"its node is gone ({type(error).__name__}); it goes on elsewhere")
        again = replace(child.job, options={**child.job.options, **child.job.again})
        task.messages = self._start(again)


def work(job: Job, files: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
    """Do a job on a node: yields ``("line", text)``, ``("files", contents by path)``, and ``result`` or ``error``."""
    with _own_folder():
        yield from _watched(job, files)


@contextmanager
def _own_folder() -> Iterator[None]:
    """Work in an empty folder with links to what all jobs share; the process may be another job's afterwards."""
    shared = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="dimix", ignore_cleanup_errors=True) as own:
        os.chdir(own)
        for path in shared.iterdir():
            Path(path.name).symlink_to(path)
        try:
            yield
        finally:
            os.chdir(shared)


def _watched(job: Job, files: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
    for name, data in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)
    seen = {path: _mark(path) for path in _below(Path(), "**/*")}
    messages: queue.Queue[tuple[str, Any]] = queue.Queue()
    threading.Thread(target=_work, args=(job, messages), daemon=True).start()
    looked, kind = time.monotonic(), ""
    while kind not in ("result", "error"):
        try:
            kind, content = messages.get(timeout=SYNC_S)
        except queue.Empty:
            kind = ""
        if kind in ("result", "error") or time.monotonic() - looked > SYNC_S:
            if changed := _changed(seen):
                yield "files", changed
            looked = time.monotonic()
        if kind:
            yield kind, content


def _work(job: Job, messages: queue.Queue[tuple[str, Any]]) -> None:
    try:
        messages.put(("result", job.target(out=lambda line: messages.put(("line", line)), **job.options)))
    except DimixError as e:
        messages.put(("error", f"{type(e).__name__}: {e}"))
    except Exception as e:
        messages.put(("line", traceback.format_exc()))
        messages.put(("error", f"{type(e).__name__}: {e}"))


def _changed(seen: dict[Path, tuple[int, int]]) -> dict[str, bytes]:
    """Contents of files that are new or changed. Checkpoints are read before the logs they refer to, and sent last."""
    paths = sorted(_below(Path(), "**/*"), key=lambda path: "ckpt" not in path.parts)
    found = {}
    for path in paths:
        mark = _mark(path)
        if seen.get(path) != mark:
            seen[path] = mark
            found[str(path)] = path.read_bytes()
    return dict(reversed(found.items()))


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _below(folder: Path, pattern: str) -> list[Path]:
    """Files of a pattern: no links, no hidden ones, which are locks and half-written files."""
    return [
        p for p in sorted(folder.glob(pattern)) if p.is_file() and not p.is_symlink() and not p.name.startswith(".")
    ]
