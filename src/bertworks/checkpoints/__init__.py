"""Floor 2: any BERT on disk and our weights."""
