"""Steps of one's own: an expression, or a function of an installed package."""
