"""Flags that several commands have. Nothing heavy is imported: help and wrong usage are shown at once."""

import argparse


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device``, for :func:`ctran.devices.find_device`."""
    help_ = "that computes: auto (a GPU where there is one), cpu, cuda, cuda:1, mps (default: auto)"
    parser.add_argument("--device", default="auto", metavar="DEVICE", help=help_)
