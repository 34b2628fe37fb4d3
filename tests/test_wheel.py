"""The package as others install it: built as a wheel, in an environment of its own, far from the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")


def files(folder):
    """What the package consists of: modules and data, without what running them leaves behind, and without pages."""
    every = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder.parent).as_posix() for path in every if path.suffix != ".md"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(REPO / name, folder)
    for name in ("dimix", "dizoo"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "dist").glob("dimix-*.whl")
    return found


def test_the_wheel_holds_all_files_of_the_package(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == files(REPO / "dimix") | files(REPO / "dizoo")


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Runs a command in an empty folder, in a new environment with the wheel and the packages that it needs."""
    home = tmp_path_factory.mktemp("home")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "env"], check=True)
    python = home / "env/bin/python"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True
    )
    (Path(found.stdout.decode().strip()) / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)]
    done = subprocess.run([sys.executable, *install], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (home / "empty").mkdir()
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def command(*args):
        done = subprocess.run(
            [home / "env/bin" / args[0], *args[1:]], cwd=home / "empty", env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_the_installed_command_works_from_any_folder(run):
    """What loads data of the package; the simulator would compile anew here, for a minute."""
    assert str(REPO) not in run("python", "-c", "import dimix, dizoo; print(dimix.__file__, dizoo.__file__)")
    assert "zoo:3m" in run("dimix", "-q", "zoo")
    assert "dizoo/smac/config/smac_MMM_qmix_config.py" in run("dimix", "-q", "config")
    metrics = "env_step,train_iter,eval/battle_won\\n0,0,0.5\\n9,1,1.0\\n"
    run("python", "-c", f"import os; os.mkdir('log'); open('log/metrics.csv', 'w').write('{metrics}')")
    assert "report.html: 1 run" in run("dimix", "-m", "report", ".")
    assert "1 game" in run("dimix", "-m", "replay", str(REPO / "docs/replays/MMM_trained.replay"), "-o", "game.html")
    acts = "t = dimix.load_team('zoo:3m'); print(t.act(np.zeros((3, 30)), np.ones((3, 9))))"
    assert run("python", "-c", f"import dimix, numpy as np; {acts}").startswith("[")
