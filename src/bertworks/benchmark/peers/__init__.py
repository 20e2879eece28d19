"""The contestants, a module each. A process runs one (`worker.py`), perhaps in another Python environment.

Such an environment has the peer's library and numpy; so a module imports nothing else, and ours alone imports torch's
part of this package. Each module has `prepare(order)`, which loads and warms nothing but what it will measure.
"""
