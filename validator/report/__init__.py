"""Reports: one model, and one pure renderer per format."""
