"""Benchmarks: treeship and its peers side by side in one run, against the budgets of the project.

In: this repository as it stands, and the rigs (a registry, engines, a base image). Out: a table for each benchmark
with ratios and a PASS or MISS for each budget on stdout, and all numbers as JSON in benchmarks/results/.
Start reading at `table.py` (which benchmarks there are), then `one_file_changed.py`, `contestants.py` and `race.py`.
"""
