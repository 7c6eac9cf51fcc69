"""What an edit would do and cost, without running it: ``plan()`` and ``cost()``.

It may import every other application and what is below. A new thing that costs time or memory is
counted in ``token_use`` and ``cost``.
"""
