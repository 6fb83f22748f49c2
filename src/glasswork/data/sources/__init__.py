"""Where examples come from: one file per format, and nothing else reads data files. `find.find` chooses among them."""
