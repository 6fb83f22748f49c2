"""What was found, drawn: records in, SVG out. Nothing is computed here that a result does not hold."""
