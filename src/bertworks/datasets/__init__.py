"""Floor 1: the data sets and models that are known by name, and fetching them."""
