"""Steps that learned: networks that run in a pipeline."""
