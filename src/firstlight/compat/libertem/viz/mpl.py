"""Drawing with matplotlib."""

from firstlight.runners.plotting import Figure as MPLLive2DPlot

__all__ = ["MPLLive2DPlot"]
