"""Speed tables: our scripts beside their peers."""
