"""The exact diagram at high resolution, and its boundaries."""
