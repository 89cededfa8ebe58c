"""Files as the authors of the networks publish them, with generated weights."""

from __future__ import annotations

import json
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import torch
from networks.generator import fill
from torch import nn

_PARITY = Path(__file__).parent / "data" / "parity"


def read_json(network, name):
    return json.loads((_PARITY / network / name).read_text())


def shapes_of(network, variant):
    """State-dict keys and shapes of a published variant."""
    shapes = read_json(network, f"{variant}.shapes.json")
    return {key: tuple(shape) for key, shape in shapes.items()}


def entries_of(network, variant):
    """Generated weights of a published variant by state-dict key."""
    entries = {k: torch.from_numpy(v) for k, v in fill(shapes_of(network, variant)).items()}
    if "dx" in entries:
        entries["dx"] = torch.arange(-4, 5, dtype=torch.int8).view(1, 1, -1, 1)
    return entries


@contextmanager
def classes_of_authors(package="core"):
    """Modules that exist only inside; yields a function from "submodule.Name" to a class there."""
    made = {}

    def get(path, base=nn.Module):
        if path not in made:
            module_name, name = f"{package}.{path}".rsplit(".", 1)
            for part in (package, module_name):
                sys.modules.setdefault(part, types.ModuleType(part))
            made[path] = type(name, (base,), {"__module__": module_name, "__qualname__": name})
            setattr(sys.modules[module_name], name, made[path])
        return made[path]

    before = set(sys.modules)
    try:
        yield get
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] == package:
                del sys.modules[name]


def save_fast_foundation_stereo(path, variant, package="core", args=None):
    """Write the whole pickled module of a Fast-FoundationStereo variant, and return its entries.

    Blocks that the architecture search replaced have the authors' classes and attributes; of all
    else only the entries matter, which plain modules hold. The activations of the package "core"
    are modules, those of any other are flags, as in old files.
    """
    architecture = read_json("fast_foundation_stereo", f"{variant}.json")["architecture"]
    entries = entries_of("fast_foundation_stereo", variant)
    with classes_of_authors(package) as get:
        build = _Blocks(get, flags=package != "core")
        network = get("foundation_stereo.FastFoundationStereo")()
        network.args = args
        for slot, record in architecture.items():
            if record is not None and slot not in ("refinement", "upsampling", "cnet.conv04"):
                _put(network, slot, build(record))
        for key, value in entries.items():
            _fill(network, key, value)
        torch.save(network, path)
    return entries


def _put(root, path, module):
    *parents, name = path.split(".")
    for parent in parents:
        if parent not in root._modules:
            root.add_module(parent, nn.Module())
        root = root._modules[parent]
    root.add_module(name, module)


def _fill(root, key, value):
    """Set an entry, where need be by making the modules on its way."""
    path, _, name = key.rpartition(".")
    for part in path.split(".") if path else []:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root._modules[part]
    if name in root._parameters:
        root._parameters[name] = nn.Parameter(value)
    else:
        root.register_buffer(name, value)


class _Blocks:
    """Builds blocks of a fixture's "architecture" of the classes that the authors' files name."""

    def __init__(self, get, flags):
        self.get, self.flags = get, flags

    def __call__(self, record):
        return getattr(self, record["type"])(record)

    def all(self, records):
        return [self(record) for record in records]

    def identity(self, record):
        return nn.Identity()

    def sequential(self, record):
        return nn.Sequential(*self.all(record["layers"]))

    def forward_helper(self, record):
        made = self.get("distill_block.ForwardHelper")()
        made.layers = nn.ModuleList(self.all(record["layers"]))
        return made

    def post_forward_helper(self, record):
        made = self.get("distill_block.PostForwardHelper")()
        made.op = record["op"]
        made.upsample = nn.Sequential(*self.all(record["upsample"]))
        made.out = nn.ModuleList(self.all(record["out"]))
        return made

    def conv(self, record):
        sizes = [tuple(record[name]) for name in ("kernel", "stride", "padding")]
        kinds = {(3, False): nn.Conv3d, (3, True): nn.ConvTranspose3d, (2, False): nn.Conv2d}
        make = kinds[record["dims"], record.get("transposed", False)]
        made = make(
            record["cin"],
            record["cout"],
            *sizes,
            groups=record.get("groups", 1),
            bias=record.get("bias", False),
        )
        if "output_padding" in record:
            made.output_padding = tuple(record["output_padding"])
        return made

    def basic(self, record):
        made = self.get("submodule.BasicConv")()
        made.conv = self.conv(record)
        made.use_bn = record["norm"] is not None
        made.norm_layer = nn.BatchNorm3d
        if made.use_bn:
            made.bn = nn.SyncBatchNorm(record["cout"])
        if self.flags:
            made.relu = record["act"] is not None
        else:
            made.relu = nn.LeakyReLU() if record["act"] else nn.Identity()
        return made

    def batchnorm(self, record):
        return nn.SyncBatchNorm(record["channels"])

    def axial(self, record):
        made = self.get("submodule.Conv3dNormActReduced")()
        across = record["k_disp"]
        for name, inputs, outputs, kernel, padding in (
            ("conv1", record["cin"], record["hidden"], (1, 3, 3), (0, 1, 1)),
            ("conv2", record["hidden"], record["cout"], (across, 1, 1), (across // 2, 0, 0)),
        ):
            layer = nn.Conv3d(inputs, outputs, kernel, padding=padding)
            made.add_module(name, nn.Sequential(layer, nn.SyncBatchNorm(outputs), nn.ReLU()))
        return made

    def residual(self, record):
        made = self.get("submodule.ResnetBasicBlock3D")()
        for number in (1, 2):
            conv = nn.Conv3d(record["cin"], record["cout"], 3, padding=1, bias=False)
            made.add_module(f"conv{number}", conv)
            made.add_module(f"bn{number}", nn.SyncBatchNorm(record["cout"]))
        made.relu = nn.ReLU()
        return made

    def gate(self, record):
        made = self.get("submodule.FeatureAtt")()
        first = self.get("submodule.BasicConv")()
        first.conv = nn.Conv2d(record["feature"], record["mid"], 1, bias=False)
        first.bn = nn.SyncBatchNorm(record["mid"])
        first.relu = True if self.flags else nn.LeakyReLU()
        made.feat_att = nn.Sequential(first, nn.Conv2d(record["mid"], record["volume"], 1))
        return made

    def transformer(self, record):
        made = self.get("submodule.CostVolumeDisparityAttention")()
        made.pos_embed0 = self.get("submodule.PositionalEmbedding")()
        made.sa = nn.ModuleList()
        width, hidden = record["dim"], record["ffn"]
        for _ in range(record["layers"]):
            layer = self.get("submodule.FlashAttentionTransformerEncoderLayer")()
            attention = layer.self_attn = self.get("submodule.FlashMultiheadAttention")()
            attention.num_heads = record["heads"]
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                attention.add_module(name, nn.Linear(width, width))
            layer.linear1, layer.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
            layer.norm1, layer.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            layer.act = nn.GELU()
            made.sa.append(layer)
        return made

    def upsample(self, record):
        return nn.Upsample(scale_factor=record["scale"], mode=record["mode"])
