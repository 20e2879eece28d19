"""What a model can do for a request: a file for each head, with what comes before and after the network."""
