"""Floor 5: the one driver of every fine-tuning."""
