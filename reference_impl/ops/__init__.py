"""The ops, one module a family: read them like the table of derivatives in a textbook."""
