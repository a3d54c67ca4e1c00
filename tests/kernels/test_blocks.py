"""Row blocks and the pool of threads under them."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from sksoft import config_context
from sksoft.kernels.blocks import map_blocks, row_blocks, serial_blas


@pytest.mark.parametrize("n_rows", [0, 1, 2, 999, 100_003])
@pytest.mark.parametrize("row_bytes", [0, 1, 800, 10_000_000])
def test_blocks_cover_all_rows_once_and_in_order(n_rows, row_bytes):
    blocks = row_blocks(n_rows, row_bytes)
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(n_rows))
    lengths = [block.stop - block.start for block in blocks]
    assert max(lengths) - min(lengths) <= 1
    assert len(blocks) == 1 or all(lengths)


def test_the_grid_does_not_depend_on_threads():
    with config_context(n_threads=7):
        many = row_blocks(10**6, 80)
    assert many == row_blocks(10**6, 80)
    assert len(many) == 20


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_results_come_in_block_order(n_threads):
    with config_context(n_threads=n_threads):
        assert map_blocks(lambda block: block.start, row_blocks(100, 1, block_bytes=3)) == [
            block.start for block in row_blocks(100, 1, block_bytes=3)
        ]


def test_several_threads_really_work():
    barrier = threading.Barrier(3, timeout=30)
    with config_context(n_threads=3):
        names = map_blocks(lambda block: (barrier.wait(), threading.current_thread().name)[1], row_blocks(3, 1, 1))
    assert len(set(names)) == 3


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_an_exception_in_a_block_is_raised(n_threads):
    def work(block):
        if block.start == 5:
            raise ZeroDivisionError("block five")
        return block

    with config_context(n_threads=n_threads), pytest.raises(ZeroDivisionError, match="block five"):
        map_blocks(work, row_blocks(10, 1, 1))


def test_blocks_inside_blocks_run_serially_and_do_not_deadlock():
    def outer(block):
        mine = threading.current_thread().name
        return all(name == mine for name in map_blocks(lambda b: threading.current_thread().name, row_blocks(9, 1, 1)))

    with config_context(n_threads=2):
        assert all(map_blocks(outer, row_blocks(8, 1, 1)))


def _in_child(queue):
    with config_context(n_threads=2):
        queue.put(map_blocks(lambda block: block.start, row_blocks(6, 1, 1)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_pool_is_rebuilt_after_a_fork():
    with config_context(n_threads=2):
        map_blocks(lambda block: None, row_blocks(6, 1, 1))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == list(range(6))


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_serial_blas_limits_and_restores_also_when_nested():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    with serial_blas():
        with serial_blas():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_overlapping_fits_in_several_threads_share_one_blas_limit():
    before, seen, first_is_in, second_is_in = blas_threads(), [], threading.Event(), threading.Event()

    def first():
        with serial_blas():
            first_is_in.set()
            second_is_in.wait(10)
            seen.append(blas_threads())

    def second():
        first_is_in.wait(10)
        with serial_blas():
            second_is_in.set()
            threads[0].join(10)
            seen.append(blas_threads())

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [[1] * len(before)] * 2
    assert blas_threads() == before
