"""What adapters to flow-matching models on packed latents share, but for attention.

The base classes of a family and of its runs, and what its parts need: schedules, sizes, the words
of a prompt, processors without torchvision. It goes out through ``refhooks.families``, and may
import ``refhooks._core.contract``, ``refhooks._attending``, ``refhooks._parts`` and what stands
below; torch and diffusers inside functions alone: a plugin that defines its family in its own
module is loaded with every command. A new thing that two families would both have to write comes
here; what knows one model belongs into its plugin.
"""
