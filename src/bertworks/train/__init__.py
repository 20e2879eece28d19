"""Floor 3: the loop; it knows no task."""
