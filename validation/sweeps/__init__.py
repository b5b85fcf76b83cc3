"""Sweeps: theory, optimum and training over grids, kept chunk by chunk."""
