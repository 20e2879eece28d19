"""Floor 1: token ids on disk and in batches."""
