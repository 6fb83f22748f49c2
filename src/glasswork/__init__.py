"""Glasswork: neural networks you can see through."""
