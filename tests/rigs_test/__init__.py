"""Tests of the rigs themselves: each is used once as the tests of treeship will use it."""
