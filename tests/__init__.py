"""Tests of image-validator."""
