"""firstlight shows scientists their sample while the beam is still on."""
