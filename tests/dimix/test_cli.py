"""The command line: what it says when something is missing or wrong, and its exit status."""

import os
import re
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dimix import __version__
from dimix.cli import command
from dimix.config.file import find_config, zoo_configs
from dimix.entry import serial_pipeline
from dimix.registry import POLICY_REGISTRY

MMM = "dizoo/smac/config/smac_MMM_qmix_config.py"
NO_SEEDS = ("", "one", "-1", "1.5", "1,,2", "1-2-3", "1 2", "²")


def invoke(*args):
    return CliRunner().invoke(command, list(args), prog_name="dimix")


def test_help_fits_a_screen():
    shown = invoke("-h")
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) <= 45
    assert "-m, --mode [serial|tune|eval|watch|check|replay|plot|report|export]" in shown.output


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        (
            [],
            "Missing: -m MODE (serial, tune, eval, watch, check, replay, plot, report or export) and -c FILE",
        ),
        (["-c", MMM], "Missing: -m MODE (serial, tune, eval, watch, check, replay, plot, report or export)."),
        (["-m", "serial"], "Missing: -c FILE (a config file)."),
        (["-m", "eval"], "Missing: --load-path CKPT (what to evaluate)."),
        (["-m", "replay"], "Missing: FILE (recorded games) and -o FILE (what to write: .html, .png, .gif or .mp4)"),
        (
            ["-m", "plot", "folder"],
            "Missing: -o FILE (what to write: .png, .pdf, .svg, .html; .csv, .md or .tex for a table).",
        ),
        (["-m", "watch"], "Missing: CKPT (a checkpoint, a run folder, or zoo:NAME)."),
        (["-m", "report"], "Missing: FOLDER (run folders)."),
        (["-m", "export", "x"], "Missing: -o FILE (what to write: .onnx, or .npz to play with numpy alone)."),
    ],
)
def test_says_what_is_missing_in_three_lines(args, missing):
    shown = invoke(*args)
    assert shown.exit_code == 2
    usage, found, example = shown.output.splitlines()
    assert usage.startswith("Usage: dimix -m " + (args[1] if "-m" in args else "MODE"))
    assert found.startswith(missing) and found.endswith("For example:")
    assert example.startswith("dimix -m " + (args[1] if "-m" in args else "serial"))


@pytest.mark.parametrize(
    ("args", "example"),
    [
        (["-m", "replay", "games/a b.replay"], "dimix -m replay 'games/a b.replay' -o 'a b.html'"),
        (["-m", "replay", "a.replay", "b.replay"], "dimix -m replay a.replay b.replay -o games.html"),
        (["-m", "replay", "-o", "x.png"], "dimix -m replay games/*.replay -o x.png"),
        (["-m", "plot", "run/seed0", "run/seed1"], "dimix -m plot run/seed0 run/seed1 -o curves.png"),
        (["-m", "watch"], "dimix -m watch zoo:3m"),
        (["-m", "export", "my run"], "dimix -m export 'my run' -o team.onnx"),
        (["-m", "export", "-o", "x.npz"], "dimix -m export zoo:3m -o x.npz"),
        (["-m", "report"], "dimix -m report smac_MMM_qmix_result"),
        (["-c", MMM], f"dimix -m serial -c {MMM} -s 0"),
    ],
)
def test_the_example_has_the_given_names(args, example):
    assert invoke(*args).output.splitlines()[-1] == example


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["-m", "serial", "-c", "nothing.py"],
            "ConfigError: -c nothing.py: no such config file. List the ready-made ones with: dimix -q config;",
        ),
        (
            ["-m", "serial", "-c", MMM, "-o", "policy.learn.batchsize=3"],
            "ConfigError: policy.learn.batchsize (in -o): unknown key.",
        ),
        (["-m", "serial", "-c", MMM, "-s", "1", "-s", "1"], "'--seed': 1 named more than once. Give each seed once."),
        (["-m", "serial", "-c", MMM, "-s", "0-9", "-s", "12,5,7"], "'--seed': 5, 7 named more than once."),
        (["-m", "serial", "-c", MMM, "-s", "9-0"], "'9-0' ends below its start. Use 0-9."),
        *((["-m", "serial", "-c", MMM, "-s", s], f"'{s}' is no list of seeds. Use whole numbers:") for s in NO_SEEDS),
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
        (["-m", "plot", "x", "-o", "a.png", "--band", "minmx"], "OutputError: --band minmx: there is none."),
        (["-m", "plot", "x", "-o", "a.png", "--smooth", "0"], "'0': use a whole number of at least 1."),
        (["-m", "plot", "x", "-o", "a.tex", "--title", "T"], "OutputError: -o a.tex: a table has no metric, title"),
        (
            ["-m", "watch", "zoo:5m_vs_66m"],
            "CheckpointError: zoo:5m_vs_66m: no such team. Did you mean '5m_vs_6m'? List them with: dimix -q zoo",
        ),
        (["-m", "watch", "a", "b"], "ConfigError: a b: -m watch takes one team."),
        (["-m", "watch", "a", "-s", "0-3"], "ConfigError: -s: 4 seeds. One game is watched; give one."),
        (["-m", "export", "zoo:3m", "-o", "a.pt"], "OutputError: -o a.pt: ending '.pt'. Right is one of .onnx, .npz."),
        (["-m", "report", "nowhere"], "OutputError: nowhere: no log/metrics.csv there."),
        (["-m", "report", "x", "-o", "a.pdf"], "OutputError: -o a.pdf: ending '.pdf'. Right is .html; -m plot writes"),
        (["-m", "replay", "no.replay", "-o", "a.html"], "EnvError: no.replay: cannot be read (No such file"),
        (["-m", "replay", "no.replay", "-o", "a.html", "--text"], "ConfigError: -o a.html --text: games are written"),
        (["-m", "replay", "no.replay", "-o", "a.txt"], "EnvError: -o a.txt: ending '.txt'. Right is one of .html,"),
    ],
)
def test_errors_are_one_clear_line(args, message):
    shown = invoke(*args)
    assert shown.exit_code in (1, 2)
    assert message in shown.output
    assert "Traceback" not in shown.output


def test_plot_takes_its_look_from_the_options(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log/metrics.csv").write_text("env_step,train/loss,train/q_tot\n0,1.0,2.0\n1000,3.0,4.0\n")
    out = tmp_path / "a.svg"
    look = ("--metric", "train/q_tot", "--title", "Two rows", "--smooth", "2", "--band", "ci", "--x-axis", "env_step")
    shown = invoke("-m", "plot", str(tmp_path), "-o", str(out), *look)
    assert shown.exit_code == 0, shown.output
    assert f"{out}: 1 run of 1 experiment" in shown.output
    svg = out.read_text("utf-8")
    assert "<!-- Two rows -->" in svg and "<!-- train/q_tot -->" in svg and "<!-- loss -->" not in svg


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        ([], []),
        (["7"], [7]),
        (["0", "1"], [0, 1]),
        (["0,1,2"], [0, 1, 2]),
        (["8-11"], [8, 9, 10, 11]),
        (["3-3"], [3]),
        (["5", "0-2,9", "7, 4"], [5, 0, 1, 2, 9, 7, 4]),
    ],
)
def test_seeds_are_numbers_lists_and_ranges(given, seeds):
    args = [word for text in given for word in ("-s", text)]
    assert list(command.make_context("dimix", args).params["seed"]) == seeds


@given(st.sets(st.integers(0, 50), min_size=1))
def test_every_set_of_seeds_can_be_written_as_ranges(seeds):
    """Each run of neighbours as first-last: what is read is what was meant, in order."""
    firsts = sorted(s for s in seeds if s - 1 not in seeds)
    lasts = sorted(s for s in seeds if s + 1 not in seeds)
    text = ",".join(f"{a}-{b}" for a, b in zip(firsts, lasts, strict=True))
    assert list(command.make_context("dimix", ["-s", text]).params["seed"]) == sorted(seeds)


def test_a_range_of_seeds_trains_each(dimix, tmp_path):
    game = "dizoo/matrix_game/config/two_step_qmix_config.py"
    done = dimix("-m", "serial", "-c", game, "-s", "3-4", "--env-step", 200, "-o", "run.tensorboard=False")
    assert done.returncode == 0, done.stderr
    assert "training seeds 3, 4" in done.stdout
    assert sorted(path.parent.name for path in tmp_path.glob("*_result/*/result.json")) == ["seed3", "seed4"]


@pytest.mark.parametrize("module", ["dimix", "dimix.cli"])
def test_the_package_itself_is_the_command(module, tmp_path):
    said = subprocess.run([sys.executable, "-m", module, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, f"dimix, version {__version__}\n")


def test_verbose_shows_the_traceback(capsys):
    shown = invoke("-m", "serial", "-c", "nothing.py", "-v")
    assert "Traceback" in shown.output + capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "incomplete", "offered"),
    [
        (["-m"], "re", ["replay", "report"]),
        (["-q"], "m", ["model", "mixer", "map"]),
        ([], "--repl", ["--replay-path", "--replay-games"]),
        (["-c"], "dizoo/smac/config/smac_MMM_qmix", [MMM, "dizoo/smac/config/smac_MMM_qmix"]),  # the last: of files
    ],
)
def test_the_shell_completes_modes_names_and_zoo_configs(args, incomplete, offered):
    completions = ShellComplete(command, {}, "dimix", "_DIMIX_COMPLETE").get_completions(args, incomplete)
    assert [item.value for item in completions] == offered


def test_output_without_the_characters_for_it(tmp_path, dimix, game_config):
    serial_pipeline(game_config(), exp_name=str(tmp_path / "run"), env_step=16, out=lambda line: None)
    shown = dimix("-m", "eval", "--load-path", "run", "-n", 2, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"nominal start: won \d of 2 games .* return \S+ \? \S+, length 2.0", shown.stdout)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("policy", ["qmix"]),
        ("model", ["qmix"]),
        ("env", ["smac", "matrix_game"]),
        ("map", ["3m", "MMM"]),
        ("zoo", ["zoo:3m"]),
    ],
)
def test_query_lists_names(kind, names):
    shown = invoke("-q", kind)
    assert shown.exit_code == 0
    listed = [line.split()[0] for line in shown.output.splitlines()]
    assert set(names) <= set(listed)
    assert all(re.match(r"\S+ +\S", line) for line in shown.output.splitlines())


def test_query_lists_classes_without_a_docstring(monkeypatch):
    monkeypatch.setattr(POLICY_REGISTRY.get("qmix"), "__doc__", None)
    assert "qmix" in invoke("-q", "policy").output.split()


def test_query_of_configs_gives_paths_that_minus_c_takes():
    lines = dict(line.split(maxsplit=1) for line in invoke("-q", "config").output.splitlines())
    assert lines[MMM] == "QMIX on MMM: a team that wins from moved starts too; its agents read units as sets."
    assert {find_config(path) for path in lines} == set(zoo_configs())


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
