"""Git LFS: which files are pointers, and where their content is.

In: blobs and `.gitattributes` of a commit. Out: verified content, from a local store or a server.
Start reading at `content.py`, the facade; `pointer.py` and `attributes.py` are pure.
"""
