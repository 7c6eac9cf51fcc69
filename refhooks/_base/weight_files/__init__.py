"""Single files of weights: safetensors and GGUF, what they hold, and filling a module from one.

``opening`` reads a header and refuses what is none; ``fitting`` lays a file's names and scales on
those of a module; ``filling`` reads the weights. It may import ``errors`` and other files of the
base. Another form of file, or of scales, comes here; what is a model's own, such as a folder of
several files, is loaded by diffusers.
"""
