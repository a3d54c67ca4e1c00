"""Row blocks over one persistent pool of threads.

A block grid depends on the data only, never on the number of threads, and partial results are merged in
block order: so the same bits come out for 1, 2 or 7 threads. The pool lives as long as the process (a fresh one per
call costs a quarter of a kernel's time) and is rebuilt after a fork, whose child has none of its threads.

Work given to the pool must release the GIL (numba ``nogil``, BLAS, NumPy, ``scipy.sparse`` products) to gain from it.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from sksoft._config import effective_n_threads
from sksoft.kernels import placement

BLOCK_BYTES = 4 << 20
# A device wants all rows at once, as far as there is memory for what is made of them.
DEVICE_BYTES = 1 << 30

Block = TypeVar("Block")
Result = TypeVar("Result")

_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_pool_lock = threading.Lock()
_inside_block = threading.local()
_scratch = threading.local()

_blas_lock = threading.Lock()
_blas_holders = 0
_blas_limit: Any = None
_blas_thread: ThreadPoolExecutor | None = None


def row_blocks(n_rows: int, row_bytes: int, block_bytes: int = BLOCK_BYTES, like=None) -> list[slice]:
    """Cut `n_rows` rows of `row_bytes` bytes into near-equal slices of about `block_bytes`, at least one.

    Where `like` is an array on a device slices are of ``DEVICE_BYTES``.
    """
    block_bytes = DEVICE_BYTES if placement.on_device(like) else block_bytes
    n_blocks = max(1, min(n_rows, -(-n_rows * max(row_bytes, 1) // block_bytes)))
    edges = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def map_blocks(work: Callable[[Block], Result], blocks: list[Block]) -> list[Result]:
    """``[work(block) for block in blocks]``, on as many threads as the configuration allows.

    Called from inside a block it runs serially: blocks do not nest. An exception in any block is raised here.
    """
    n_threads = min(effective_n_threads(), len(blocks))
    if n_threads <= 1 or getattr(_inside_block, "active", False):
        return [work(block) for block in blocks]
    results: list = [None] * len(blocks)
    remaining = iter(range(len(blocks)))
    next_lock = threading.Lock()

    def drain():
        _inside_block.active = True
        try:
            while True:
                with next_lock:
                    i = next(remaining, None)
                if i is None:
                    return
                results[i] = work(blocks[i])
        finally:
            _inside_block.active = False

    helpers = _submit(drain, n_threads - 1)
    try:
        drain()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return results


def map_rows(work: Callable[[slice], Any], data, row_bytes: int) -> None:
    """``work(rows)`` for blocks of the rows of `data`, on threads; on a device for large ones, one after the other."""
    blocks = row_blocks(len(data), row_bytes, like=data)
    if placement.on_device(data):
        for rows in blocks:
            work(rows)
    else:
        map_blocks(work, blocks)


def fold_blocks(work: Callable[[Block], Result], blocks: list[Block], add: Callable[[Result], object]) -> None:
    """``add(work(block))`` in block order: results are let go as soon as those before them have been added."""
    waiting: dict[int, Result] = {}
    lock = threading.Lock()
    n_added = 0

    def work_and_add(i: int) -> None:
        nonlocal n_added
        result = work(blocks[i])
        with lock:
            waiting[i] = result
            del result
            while n_added in waiting:
                add(waiting.pop(n_added))
                n_added += 1

    map_blocks(work_and_add, list(range(len(blocks))))


def scratch(name: str, shape: tuple[int, int], dtype=np.float64, order="C", like=None) -> np.ndarray:
    """A buffer of this thread, not cleared, for one block's work: a fresh one would cost page faults.

    It is valid until the thread asks for the same name again, so it must not leave the block. Where `like` is an array
    on a device so is the buffer: a fresh one, which costs nothing there, for the device's library keeps a pool.
    """
    if placement.on_device(like):
        return placement.namespace(like).empty(shape, dtype)
    buffers = _scratch.__dict__
    bytes_needed = shape[0] * shape[1] * np.dtype(dtype).itemsize
    if name not in buffers or buffers[name].size < bytes_needed:
        buffers[name] = np.empty(bytes_needed, np.uint8)
    return buffers[name][:bytes_needed].view(dtype).reshape(shape, order=order)


@contextmanager
def serial_blas():
    """Hold BLAS at one thread: blocks are the parallelism, and bits must not depend on a thread count.

    The limit is process-wide and costs about a millisecond, hence one per fit and not one per block. Fits that overlap
    in several threads share it: the first sets it, the last restores what was there. One thread of our own does both,
    because a shared pool of BLAS threads obeys only the thread that limited it first. A BLAS whose limit is each
    thread's own (MKL, OpenMP layers) is not reached, and there results are the same to 1e-12 only.
    """
    global _blas_holders, _blas_limit
    with _blas_lock:
        if _blas_holders == 0:
            _blas_limit = _on_blas_thread(_limit_blas)
        _blas_holders += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_holders -= 1
            if _blas_holders == 0:
                _on_blas_thread(_blas_limit.__exit__, None, None, None)


def _limit_blas():
    limit = _threadpools().limit(limits=1, user_api="blas")
    limit.__enter__()
    return limit


def _on_blas_thread(function, *args):
    global _blas_thread
    if _blas_thread is None:
        _blas_thread = ThreadPoolExecutor(1, thread_name_prefix="sksoft-blas")
    return _blas_thread.submit(function, *args).result()


@cache
def _threadpools():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _submit(drain, n_workers: int) -> list:
    global _pool, _pool_size
    with _pool_lock:
        if _pool is None or _pool_size < n_workers:
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool = ThreadPoolExecutor(n_workers, thread_name_prefix="sksoft")
            _pool_size = n_workers
        return [_pool.submit(drain) for _ in range(n_workers)]


def _forget_pool():
    global _pool, _pool_size, _pool_lock, _blas_lock, _blas_holders, _blas_limit, _blas_thread
    _pool, _pool_size = None, 0
    _blas_holders, _blas_limit, _blas_thread = 0, None, None
    _pool_lock, _blas_lock = threading.Lock(), threading.Lock()
    _inside_block.__dict__.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
