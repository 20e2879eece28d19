"""The driver of pre-training: its flags, its phases, its recipes, and the run."""
