"""Sources of truth and of evidence about a case; each lives in its own module and is imported by name."""
