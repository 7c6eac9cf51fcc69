"""What an edit changed, as figures, advice, plots and a report.

It may import ``files`` and the core; not ``recipes``, beside it. A new check of a finished
picture comes into ``advice``, with what was measured, the likely cause, and what to try.
"""
