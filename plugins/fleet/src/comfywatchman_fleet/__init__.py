"""Carry out a plan on many machines: Dask distributes the files, each worker gets them as one machine would."""

from __future__ import annotations
