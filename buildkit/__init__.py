"""A commit's git tree becomes an OCI image.

In: a commit, a base image, settings. Out: layers, an image, and the places it was sent to.
Start reading at `buildkit.build`, whose docstring tells the pipeline stage by stage.
"""

__version__ = "0.1.0"
