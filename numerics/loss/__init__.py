"""Exact population losses: closed forms, sums over nodes, second derivatives."""
