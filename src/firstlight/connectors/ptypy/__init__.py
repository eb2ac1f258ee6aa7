"""Files of ptypy."""
