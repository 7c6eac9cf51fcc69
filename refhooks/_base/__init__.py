"""Numbers, files and pictures: what knows nothing of references, plugins or models.

What is here serves every storey above: reading and writing files whole, pictures and covers of
pixels, checked numbers, tables, sheets and figures. It may import ``refhooks.errors`` alone, and
libraries. A new helper comes here if it could stand in a program without references.
"""
