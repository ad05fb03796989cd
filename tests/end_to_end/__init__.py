"""The command as its users run it: real processes, real registries and engines, real git."""
