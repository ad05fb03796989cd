"""The pipelines of this repository: read, held to a few rules, and their commands run."""
