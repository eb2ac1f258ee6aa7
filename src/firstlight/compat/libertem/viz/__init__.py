"""Classes that draw a run, for ``LiveContext(plot_class=…)``."""
