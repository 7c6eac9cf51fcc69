"""Models of FLUX.1's kind: patches of four latents, blocks of two streams and then of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from refhooks._flow.family import FlowFamily
from refhooks._flow.joint_run import JointRun

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._attending.processors import Processors
    from refhooks._base.size import Size

__all__ = ["PatchFamily", "PatchRun"]


class PatchFamily(FlowFamily):
    """Adapter to a model on the latents of an ``AutoencoderKL``, two by two in a token.

    Attributes:
        stock: The class of the model's attention processors.
    """

    input_projection: ClassVar[str | None] = "x_embedder"
    takes_adapters: ClassVar[bool] = True
    takes_keep: ClassVar[bool] = True
    stock: ClassVar[type[Any]]

    def check_attention(self, *, edited: bool, dropped: bool) -> None:  # noqa: ARG002  ids of its rows are left out
        """Refuse attention that is fused, another library's, or runs in parallel."""
        from refhooks._attending.streams import stream_modules  # noqa: PLC0415  imports diffusers

        if edited:
            stream_modules(self.pipe.transformer, self.stock)

    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures ``[B,3,height,width]``, 0–1."""
        pipe, vae = self.pipe, self.pipe.vae
        latents = pipe._unpack_latents(latents, size.height, size.width, pipe.vae_scale_factor)
        latents = latents / vae.config.scaling_factor + vae.config.shift_factor  # [B,C/4,h/f,w/f]
        pixels = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
        return pipe.image_processor.postprocess(pixels, output_type="pt")  # type: ignore[no-any-return]


class PatchRun(JointRun):
    """One run on such a model."""

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """Before packing: two latents along each side of a token."""
        rows, columns = self.grid
        return (batch, self.pipe.transformer.config.in_channels // 4, 2 * rows, 2 * columns)

    def pack(self, latents: Tensor) -> Tensor:
        """Four latents of a token, one after the other, ``[B,T,C]``."""
        return self.pipe._pack_latents(latents, *latents.shape)  # type: ignore[no-any-return]

    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return the VAE's mode, normalised and packed, ``[1,R,C]``."""
        pixels = self.pipe.image_processor.preprocess(picture, size.height, size.width)
        pixels = pixels.to(self.device, self.pipe.vae.dtype)
        return self.pack(self.pipe._encode_vae_image(pixels, None))

    def make_processors(self, *, record: bool) -> Processors:
        """Return those of blocks of two streams, and of one."""
        from refhooks._attending.streams import stream_processors  # noqa: PLC0415  diffusers

        return stream_processors(self.pipe.transformer, self.family.stock, record=record)
