"""Mutation and coverage fuzzing of the whole check; docs/reliability.md has the figures."""
