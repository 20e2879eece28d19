"""`bert serve`: models behind HTTP, and a page to see them.

    bytes --http--> body --protocols--> texts --abilities--> sequences --batching--> outputs --abilities--> answers

`models.py` holds what is loaded, `batching.py` computes the sequences of all requests together, and `abilities/` says
what comes before and after that for each head. `protocols/` are thin: they translate bodies and answers only.
"""
