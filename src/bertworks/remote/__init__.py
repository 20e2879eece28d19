"""Files elsewhere: inputs are copied here before a command opens them, outputs are made here and sent away."""
