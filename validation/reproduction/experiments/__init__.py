"""The experiments of the sources, a module for each group that shares its computation."""
