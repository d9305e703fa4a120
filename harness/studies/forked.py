"""What workers of this machine share: they are forks of a process that imports this module, once for all of them."""

from __future__ import annotations

import gc
from contextlib import suppress
from importlib import import_module

gc.disable()  # what is imported stays
from harness import registry  # noqa: E402
from harness.studies import evaluate, on_workers, run, store  # noqa: E402, F401

with suppress(Exception):  # whoever needs it says what is wrong
    import_module("distributed")
with suppress(Exception):
    registry.usable_families()
    on_workers.about()
gc.freeze()
gc.enable()
