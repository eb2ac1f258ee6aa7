"""EPICS PV Access: images of areaDetector as a source, results as a view, and a beamline that is not there."""
