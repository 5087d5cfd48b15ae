"""The harness tests itself: what it must catch, and what it must not claim."""
