"""Optional packages: found without being imported, and named with the command that installs them when missing."""

import sys

import pytest

from dimix.envs.packages import Package
from dimix.errors import EnvError


def test_what_is_installed_is_told_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "dimix_probe_package.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    package = Package("dimix_probe_package", "pip install it")
    assert package.installed and "dimix_probe_package" not in sys.modules
    assert package.load().VALUE == 3


def test_a_missing_package_is_named_with_its_command():
    package = Package("no_such_package_at_all", "pip install 'dimix[nothing]'")
    assert not package.installed
    with pytest.raises(EnvError) as error:
        package.load("env")
    assert str(error.value) == (
        "no_such_package_at_all is not installed. Install it with: pip install 'dimix[nothing]'"
    )


def test_a_package_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    (tmp_path / "dimix_broken_package.py").write_text("import no_such_need_of_it\n")
    monkeypatch.syspath_prepend(tmp_path)
    package = Package("dimix_broken_package", "pip install it")
    with pytest.raises(EnvError, match="importing it failed: No module named 'no_such_need_of_it'. Install it with"):
        package.load()


def test_a_package_without_what_it_needs_is_not_installed(tmp_path, monkeypatch):
    (tmp_path / "dimix_needy_package.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert Package("dimix_needy_package", "").installed
    assert Package("dimix_needy_package", "", needs=("json",)).installed
    assert not Package("dimix_needy_package", "", needs=("json", "no_such_need_of_it")).installed


def test_submodules_are_loaded():
    assert Package("json", "").load("decoder").JSONDecoder
