"""Keeping freed memory: a training step frees and asks for the same large buffers again and again."""

from __future__ import annotations

import ctypes
import platform

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed buffers of any size in the heap instead of handing them back to the system.

    By default each large tensor is a fresh mapping whose pages the kernel must fill with zeros at first touch, which
    costs as much as the work done in it. The process then never shrinks. Elsewhere than on glibc nothing happens.

    Returns:
        whether the setting took.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*setting) for setting in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, 64 << 20)))
