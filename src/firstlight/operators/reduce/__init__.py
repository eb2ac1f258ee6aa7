"""Steps that fold many frames into one."""
