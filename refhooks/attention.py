"""Attention over weighted groups of keys, for families and for methods that measure.

:func:`merged_attention` is the sum itself; :class:`BlockProcessor` and :class:`Processors` are what
a family puts on its model: its own part is a processor that projects to queries, keys and values,
and finishes from the joined result.
"""

from refhooks._attending.blocks import BlockGroup, key_groups
from refhooks._attending.combining import combine
from refhooks._attending.merging import KeyGroup, attend, merged_attention, shares
from refhooks._attending.processors import BlockProcessor, Processors, check_stock, stock_modules
from refhooks._core.contract.values import GroupEdit

__all__ = [
    "BlockGroup",
    "BlockProcessor",
    "GroupEdit",
    "KeyGroup",
    "Processors",
    "attend",
    "check_stock",
    "combine",
    "key_groups",
    "merged_attention",
    "shares",
    "stock_modules",
]
