"""The card of a model: README.md in its folder, made from what its training left there."""
