"""Bases of one's own: a folder of Dockerfiles, built with the Docker Engine only when what they are made from changed.

In: the folder `dockerfiles/` of a work tree (bases.toml, bases.lock, a Dockerfile for each base). Out: images in the
engine with their key as a label, and at destinations; a new bases.lock. Start reading at `build.py`.
"""
