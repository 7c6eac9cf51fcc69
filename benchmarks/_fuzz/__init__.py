"""What benchmarks/fuzz.py tries: a module for each kind of input, and what all of them share.

``_odd`` draws values and changes, ``_watch`` looks at a case and ``_blocks`` at many. A new kind is
a class with ``random``, ``near`` and ``run``, and its name in ``KINDS`` of ``_blocks``.
"""
