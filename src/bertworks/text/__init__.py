"""Floor 0: text, without torch."""
