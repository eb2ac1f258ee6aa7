"""Drawing with bqplot, in the notebook's own page."""

from firstlight.runners.bqplot_panel import Panel as BQLive2DPlot

__all__ = ["BQLive2DPlot"]
