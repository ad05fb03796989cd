"""The base under an existing image is swapped, without building anything.

In: an image, its old base and a new one (manifests, configs, facts). Out: the image on the new base, as a plan with
what differs, and where it goes. Start reading at `plan.py`; `swap.py` puts one image together from `merge.py`,
`environment.py` and `history.py`, `fit.py` says what would break, `target.py` writes, `fleet.py` finds the images of a
repository that stand on an outdated base.
"""
