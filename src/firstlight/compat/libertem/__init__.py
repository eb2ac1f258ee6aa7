"""LiberTEM and LiberTEM-live: their UDFs as steps, and their way of talking to detectors over our own engine."""
