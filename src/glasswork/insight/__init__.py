"""What a training has come to, and what happens inside: records in, frozen records out."""
