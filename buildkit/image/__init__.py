"""The nouns of an image: digest, reference, descriptor, manifest, index, config. Frozen values, no I/O.

In: raw bytes as they were received. Out: views on them that keep those bytes.
Start reading at `manifest.py`.
"""
