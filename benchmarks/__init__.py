"""Measurements of image-validator against its peers; see README.md."""
