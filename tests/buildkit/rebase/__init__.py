"""Tests of buildkit/rebase, the pure parts; the verb is tried in tests/end_to_end/test_rebase.py."""
