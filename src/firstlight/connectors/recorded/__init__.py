"""What all sources over recorded files share: frames by id, blocks, angles and calibration. No format of its own."""
