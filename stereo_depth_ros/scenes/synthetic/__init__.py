"""Random stereo scenes in PyTorch, rendered in batches with exact truth, on CPU or CUDA.

The unit of length is the baseline and both cameras look along +Z, so a pixel's ray meets a surface
at depth Z = f / d: everything is intersected in the disparity d itself, and the truth carries no
sampling error.
"""

from stereo_depth_ros.scenes.synthetic.render import RenderedBatch, render
from stereo_depth_ros.scenes.synthetic.textures import TextureBank

__all__ = ["RenderedBatch", "TextureBank", "render"]
