"""Jobs from end to end, as people do them, in as few commands as they take."""
