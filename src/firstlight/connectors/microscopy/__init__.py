"""Files of electron microscopes, read by RosettaSciIO (the extra ``microscopy``)."""
