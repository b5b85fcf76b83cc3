"""Statements with the evidence for and against them."""
