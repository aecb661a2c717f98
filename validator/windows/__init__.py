"""Readers of Windows' own formats; they know nothing of checks."""
