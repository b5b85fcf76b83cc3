"""Gradient flow, and which minimum a start ends in."""
