"""Floor 2: the network."""
