"""A commit's lock becomes the dependency layers of its image.

In: the commit's lock, the base's facts, and wheels (`fetch`ed only where a layer is not known). Out: planned layers
of wheels, lowest first, which stand between the base's and the commit's own. Start reading at `stage.py`;
`partition.py` says which wheels share a layer, `interpreter.py` what the base's Python takes, `lockfile.py` reads.
"""
