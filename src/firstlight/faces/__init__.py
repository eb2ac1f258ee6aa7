"""Ways to control a run, all of them thin, over one interface."""
