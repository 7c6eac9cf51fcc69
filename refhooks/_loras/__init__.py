"""LoRA files of any trainer, brought onto a model exactly.

From the bottom: ``header`` reads what a file says of itself, ``keys`` what its keys mean,
``places`` finds the layers by comparing names, ``layers`` checks that all fits, ``tensors`` reads
the weights and ``alphas`` their scales, ``injecting`` puts them on the model through peft and takes
them off, ``state`` tells what is there, ``adding`` is the whole of it, and ``taking`` what users
call. It may import ``refhooks._base``, ``refhooks.errors`` and libraries, and knows no family. A
new layout of keys comes into ``keys``, a prefix into ``places``, a kind into ``layers``.
"""
