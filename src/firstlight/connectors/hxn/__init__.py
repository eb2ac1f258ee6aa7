"""The Hard X-ray Nanoprobe of NSLS-II: an Eiger and a PandABox that belong to one scan."""
