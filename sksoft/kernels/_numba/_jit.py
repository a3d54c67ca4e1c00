"""``njit`` as this package uses it, with a disk cache that notices edits.

numba's own cache looks at the file of the compiled function alone, so an edited helper in *another* file leaves the
old machine code alive; and it raises at import where no cache folder can be written. Here the folder is named by a
hash of every source file under ``_numba``, the numba version and the CPU, and where no folder is writable the kernels
compile once per process.

``parallel=True`` is never used: its thread layers abort under threads or kill forked children. ``fastmath=True`` is
never used: it makes ``isnan`` return False. ``REASSOCIATE`` lets LLVM vectorise reductions and keeps NaN and infinity.

Nor does a kernel assign an array to a slice: numba's check of the two shapes takes two seconds to compile, for the
message alone. Loops do it.
"""

import hashlib
import os
import platform
import tempfile
from functools import cache
from pathlib import Path

import numba
from numba.core import caching

REASSOCIATE = frozenset({"contract", "reassoc", "nsz", "arcp", "afn"})
CONTRACT = frozenset({"contract", "nsz"})


def jit(function=None, *, fastmath=CONTRACT, **options):
    """Compile `function` on first call: no GIL, NumPy's error model, cached on disk under :func:`cache_folder`."""
    if function is None:
        return lambda f: jit(f, fastmath=fastmath, **options)
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=set(fastmath), **options)(function)
    if cache_folder() is not None:
        dispatcher._cache = _SourceKeyedCache(dispatcher.py_func)
    return dispatcher


def inner(function=None, *, fastmath=CONTRACT):
    """As :func:`jit`, for functions that only compiled code calls: without the wrapper for Python, compiled sooner."""
    if function is None:
        return lambda f: inner(f, fastmath=fastmath)
    return jit(function, fastmath=fastmath, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@cache
def cache_folder() -> str | None:
    """Folder of this build's machine code, or None where no candidate folder is writable."""
    key = f"{numba.__version__}-{platform.python_version()}-{_cpu()}-{_sources_digest()}"
    folder = hashlib.sha256(key.encode()).hexdigest()[:16]
    candidates = [
        os.environ.get("NUMBA_CACHE_DIR"),
        Path(__file__).parent / "__pycache__",
        os.environ.get("XDG_CACHE_HOME") and Path(os.environ["XDG_CACHE_HOME"]) / "sksoft",
        Path("~/.cache/sksoft").expanduser(),
    ]
    for candidate in filter(None, candidates):
        path = Path(candidate) / f"kernels-{folder}"
        if _is_writable(path):
            return str(path)
    return None


def _cpu() -> str:
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()}-{llvm.get_host_cpu_features().flatten()}"


def _sources_digest() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _is_writable(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True


class _Locator(caching._CacheLocator):
    """Points numba at our folder; the folder's name already stands for the sources, so the stamp is constant."""

    def __init__(self, py_func, py_file):
        self._lineno = py_func.__code__.co_firstlineno

    def get_cache_path(self):
        return cache_folder()

    def get_source_stamp(self):
        return 0

    def get_disambiguator(self):
        return str(self._lineno)

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)


class _Impl(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _SourceKeyedCache(caching.FunctionCache):
    _impl_class = _Impl
