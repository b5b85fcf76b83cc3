"""Losses of any architecture: exact where few features interact, else sampled with an error bar."""
