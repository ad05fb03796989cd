"""Commits, trees and blobs of any repository, read without a checkout.

In: a path or URL, a commit-ish. Out: `Commit`, `Entry`, streams of blobs, all checked as hostile input.
Start reading at `repository.py`.
"""
