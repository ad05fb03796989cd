"""`make demo`: this repository's own commit becomes an image, changes, becomes one again, and runs.

In: a machine; Debian as root shows everything, any other what it can. Out: an OCI layout in .treeship/demo, two tables,
peers' times, and a program of the commit that says which git tree it is. Start reading at `__main__.py`.
"""
