"""The readers and writers of checkpoint formats, one file each."""
