"""Dependencies as wheels: a lock is read, wheels are selected for the base, and each becomes a layer.

In: a lock, wheels on the local disk, and where the base keeps its packages. Out: plans of files, and layers of them,
in which what the wheels have compressed is not compressed again. Start reading at `installed.py` (one wheel's plan)
and `splice.py` (its layer); `archive.py` reads the zip and trusts nothing in it.
"""
