"""Phase retrieval from images taken at a distance."""
