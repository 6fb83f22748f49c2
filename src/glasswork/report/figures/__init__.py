"""Figures as SVG: records in, drawings out. Nothing is computed here. The same record gives the same bytes."""
