"""EDF, the European Synchrotron's data format."""
