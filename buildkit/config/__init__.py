"""Settings: what an image holds (from the commit) and where it goes and what is trusted (never from it).

In: the bytes of settings files, flags, the environment. Out: `Holds` and `Resolved`, frozen values.
Start reading at `table.py`, which lists every setting; `holds.py` and `places.py` resolve the two halves.
"""
