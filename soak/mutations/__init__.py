"""Damage, by seed: bytes, JSON, zip, `.npy`, gzip, safetensors, command lines, Python arguments.

A mutation takes a good input and a `random.Random`, and returns a damaged one. It never uses a
clock or the global generator, so damage is reproducible by seed. Input that it can't parse (JSON
damaged before) it damages as plain bytes.
"""

from soak.mutations.arrays import NPZ, change_npy, change_zip, zipped
from soak.mutations.gzipped import GZIPPED_IDX, IDX, packed, within_gzip
from soak.mutations.jsons import JSON, JSON_LINES, change_json, change_json_lines
from soak.mutations.raw import BYTES, mutate, spliced
from soak.mutations.safetensors import SAFETENSORS, change_safetensors
from soak.mutations.values import INTEGERS, STRINGS, Mutation, Random
from soak.mutations.words import change_arguments, change_call

__all__ = [
    "BYTES",
    "GZIPPED_IDX",
    "IDX",
    "INTEGERS",
    "JSON",
    "JSON_LINES",
    "NPZ",
    "SAFETENSORS",
    "STRINGS",
    "Mutation",
    "Random",
    "change_arguments",
    "change_call",
    "change_json",
    "change_json_lines",
    "change_npy",
    "change_safetensors",
    "change_zip",
    "mutate",
    "packed",
    "spliced",
    "within_gzip",
    "zipped",
]
