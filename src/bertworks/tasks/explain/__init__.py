"""Explain decisions: which words moved them, and by how much."""
