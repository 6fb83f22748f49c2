"""What people look at: records in, pictures out. Nothing is computed here."""
