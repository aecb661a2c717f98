"""From the bytes of an image file to the files on its volumes; knows nothing of Windows."""
