"""Expansions and limiting cases in which the loss is known in closed form."""
