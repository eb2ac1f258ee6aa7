"""Steps that rearrange chunks: they see ids and gaps, never what pixels mean."""
