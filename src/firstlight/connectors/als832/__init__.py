"""Files of beamline 8.3.2 of the Advanced Light Source: each image a dataset of its own."""
