"""How the network that ships was made: what it learned from, what it is, how it is written, how good it is."""
