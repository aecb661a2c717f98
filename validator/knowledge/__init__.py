"""What is known of the world outside the image: data, not code."""
