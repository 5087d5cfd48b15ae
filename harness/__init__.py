"""Adjudge's harness: programs are drawn, run on several engines, judged against a proved truth, and timed.

Start at `programs` (what is drawn), `cases` (a program at a point), `oracles` (what is true), `judgement` (who agrees).
Importing this package needs neither PyTorch nor JAX.
"""
