"""Floor 4: what is special about each job; knows nothing of the loop."""
