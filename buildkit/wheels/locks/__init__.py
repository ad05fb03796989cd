"""A commit's lock, and the wheels of it that fit the base's Python; the host's Python has no say.

In: the bytes of pylock.toml, uv.lock or requirements.txt, and a Target. Out: a Selection: one wheel for each package.
Start reading at `select.py`; `model.py` has the nouns, each kind of lock has a module. `uvlock.py` alone starts uv.
"""
