"""The commands of the command line, one subject to a module."""
