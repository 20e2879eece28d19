"""The ledger of recipes: what helps a BERT learn sooner, at equal time and at equal tokens."""
