"""Layers as pure functions of a tree: which layer a path belongs to, its key, its tar bytes, its gzip members.

In: sorted entries and a way to read blobs. Out: keys (before any blob is read) and bytes that depend on content alone.
Start reading at `layer.py`; `partition.py` says which path goes where.
"""
