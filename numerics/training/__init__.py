"""Training protocols, and the engines that carry them out."""
