"""Learning curves and tables from run folders; the seeds of one experiment become one line or row."""

from dimix.plot.bands import on_one_axis
from dimix.plot.curves import Look
from dimix.plot.figures import new_figure, panel_grid, style
from dimix.plot.runs import Run, read_run
from dimix.plot.write import plot

__all__ = ["Look", "Run", "new_figure", "on_one_axis", "panel_grid", "plot", "read_run", "style"]
