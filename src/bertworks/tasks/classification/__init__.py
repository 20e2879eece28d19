"""Classify texts and pairs of texts: one class, several at once, a number, or the best of several endings."""
