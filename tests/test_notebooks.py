"""The notebooks run from the first cell to the last, on fewer steps, and say what they promise."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
SMALL = {"ENV_STEP": 600, "SEEDS": (0,), "GAMES": 4}
#: What the last outputs say, by notebook.
SAYS = {
    "five_minutes": "array([",
    "own_mixer": "policy.model.mixer (in -o): no mixer 'weighted_sun'. Did you mean 'weighted_sum'?",
    "own_map": "from a moved start:",
    "skill": "sees only the time",
}


def printed(cell):
    """All text of a cell's outputs."""
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", []))


def test_every_notebook_is_here():
    assert {path.stem for path in (REPO / "docs/notebooks").glob("*.ipynb")} == SAYS.keys()


@pytest.mark.parametrize("name", SAYS)
def test_notebook_runs(name, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel are not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel are not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(REPO / f"docs/notebooks/{name}.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not committed"
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source += "".join(f"\n{key} = {value}" for key, value in SMALL.items())
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(printed(cell) for cell in notebook.cells)
    assert SAYS[name] in said and "Traceback" not in said
    assert sum(cell.cell_type == "code" for cell in notebook.cells) >= 5
