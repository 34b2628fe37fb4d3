"""The command line: what it says when something is missing or wrong, and its exit status."""

import os
import re

import pytest
from click.testing import CliRunner

from dimix.cli import command
from dimix.entry import serial_pipeline

MMM = "dizoo/smac/config/smac_MMM_qmix_config.py"


def invoke(*args):
    return CliRunner().invoke(command, list(args), prog_name="dimix")


def test_help_fits_a_screen():
    shown = invoke("-h")
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) <= 45
    assert "-m, --mode [serial|eval|check|replay|plot]" in shown.output


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        ([], "Missing: -m MODE (serial, eval, check, replay or plot) and -c FILE (a config file)."),
        (["-c", MMM], "Missing: -m MODE (serial, eval, check, replay or plot)."),
        (["-m", "serial"], "Missing: -c FILE (a config file)."),
        (["-m", "eval"], "Missing: --load-path CKPT (what to evaluate)."),
        (["-m", "replay"], "Missing: FILE (recorded games) and -o FILE (what to write) or --text."),
        (["-m", "plot", "folder"], "Missing: -o FILE (what to write)."),
    ],
)
def test_help_says_what_is_missing(args, missing):
    shown = invoke(*args)
    assert shown.exit_code == 2
    assert "Usage: dimix" in shown.output
    assert missing in shown.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-m", "serial", "-c", "nothing.py"], "ConfigError: -c nothing.py: no such config file."),
        (
            ["-m", "serial", "-c", MMM, "-o", "policy.learn.batchsize=3"],
            "ConfigError: policy.learn.batchsize (in -o): unknown key.",
        ),
        (["-m", "serial", "-c", MMM, "-s", "1", "-s", "1"], "ConfigError: -s: 1 1 names a seed twice."),
        (["-m", "serial", "--resume"], "Missing: -c FILE"),
        (["-m", "serial", "--resume", "nowhere"], "CheckpointError: --resume nowhere: no such folder."),
        (["-m", "eval", "--load-path", "nowhere.pth.tar"], "CheckpointError: no checkpoint nowhere.pth.tar."),
        (["-m", "eval", "--load-path", "x", "-s", "1", "-s", "2"], "ConfigError: -s: 2 seeds. An evaluation takes one"),
        (["-m", "serial", "-c", MMM, "--env-step", "1.5"], "'1.5': use a whole number of at least 1."),
        (["-m", "serial", "-c", MMM, "--env-step", "many"], "'many' is not a number."),
        (["-m", "sereal"], "'sereal' is not one of"),
        (["-m", "serial", MMM], f"ConfigError: {MMM}: -m serial takes no files. A config file is given with -c."),
        (["-m", "plot", "x", "-o", "a.png", "-o", "b.png"], "ConfigError: -o: a.png b.png. -m plot writes one file."),
        (["-m", "plot", "nowhere", "-o", "a.png"], "OutputError: nowhere: no log/metrics.csv there."),
        (["-m", "replay", "no.replay", "-o", "a.html"], "EnvError: no.replay: cannot be read (No such file"),
        (["-m", "replay", "no.replay", "-o", "a.txt"], "EnvError: -o a.txt: ending '.txt'. Right is one of .html,"),
    ],
)
def test_errors_are_one_clear_line(args, message):
    shown = invoke(*args)
    assert shown.exit_code in (1, 2)
    assert message in shown.output
    assert "Traceback" not in shown.output


def test_verbose_shows_the_traceback(capsys):
    shown = invoke("-m", "serial", "-c", "nothing.py", "-v")
    assert "Traceback" in shown.output + capsys.readouterr().err


def test_output_without_the_characters_for_it(tmp_path, dimix, game_config):
    serial_pipeline(game_config(), exp_name=str(tmp_path / "run"), env_step=16, out=lambda line: None)
    shown = dimix("-m", "eval", "--load-path", "run", "-n", 2, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"nominal start: won \d of 2 games .* return \S+ \? \S+, length 2.0", shown.stdout)


@pytest.mark.parametrize(
    ("kind", "names"),
    [("policy", ["qmix"]), ("model", ["qmix"]), ("env", ["smac", "matrix_game"]), ("map", ["3m", "MMM"])],
)
def test_query_lists_names(kind, names):
    shown = invoke("-q", kind)
    assert shown.exit_code == 0
    listed = [line.split()[0] for line in shown.output.splitlines()]
    assert set(names) <= set(listed)
    assert all(re.match(r"\S+ +\S", line) for line in shown.output.splitlines())


@pytest.mark.parametrize(("there", "state"), [(True, "installed"), (False, "not installed; pip install 'dimix[lbf]'")])
def test_query_of_environments_tells_what_is_installed_and_what_installs_the_rest(there, state, monkeypatch):
    monkeypatch.setattr("dimix.envs.packages.Package.installed", there)
    lines = [line.split(" - ") for line in invoke("-q", "env").output.splitlines() if " - " in line]
    told = {(env.strip(), use.partition(": ")[0]): use.partition(": ")[2] for env, use in lines}
    assert told["lbf", "lbforaging"] == state
    assert {
        ("smax", "jaxmarl"),
        ("smac", "env.backend='smaclite'"),
        ("petting_zoo", "env.env_family='mpe'"),
    } <= told.keys()
