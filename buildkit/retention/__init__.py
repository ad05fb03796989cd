"""Retention: which tags and manifests of a repository may go, and taking them out.

In: what a registry repository or a layout holds (`Stock`), what git and the settings still name (`Keep`), rules.
Out: a `Plan`, which is shown, written to a file, and later applied as far as it still holds.
Start reading at `plan.py`; `stock.py` says what needs what, `applying.py` how a plan shrinks, `registry.py` and
`layout.py` are the two kinds of places.
"""
