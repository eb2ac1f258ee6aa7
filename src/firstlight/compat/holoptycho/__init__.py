"""holoptycho's config keys, REST routes and environment over ours, for the Hard X-ray Nanoprobe of NSLS-II."""
