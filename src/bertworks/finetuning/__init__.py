"""The driver of every fine-tuning: flags, settings, the seeds it trains."""
