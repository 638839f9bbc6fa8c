"""Work on several threads: two calls side by side, or many items in order.

OpenCV and the TFLite interpreters let go of the GIL, so that such threads really run at once.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")
Aside = TypeVar("Aside")
Here = TypeVar("Here")

AHEAD = 4
"""How many items are taken ahead for each worker: what one slow item may hold up, and no more."""
_MAX_DEFAULT_THREADS = 4


def default_threads() -> int:
    """Return how many cores are used unless told: one a core, four at most.

    Measured on two cores, the segmentation beside it (``python -m benchmarks.one_picture``): two
    threads are as fast as one where the model takes 0.2 ms, as the default one does, and make the
    whole 5 % faster where it takes 1.1 ms.  Four cores are not measured; by the same reasoning a
    fifth thread, the segmentation's, costs little, since it has ended before a slow model has.
    """
    return min(usable_cores(), _MAX_DEFAULT_THREADS)


def usable_cores() -> int:
    """Return how many processor cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def side_by_side(aside: Callable[[], Aside], here: Callable[[], Here]) -> tuple[Aside, Here]:
    """Run ``aside`` on a thread of its own and ``here`` on the caller's; return both results.

    Both have ended when it returns, or raises what one of them raised.  The thread is a new one
    each time, which costs 0.1 ms at most: none is left to be ended, shared, or lost in a fork.
    Where the system gives no further thread, one call is made after the other.
    """
    results: list[Aside] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(aside())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run, name="edge-aside")
    try:
        thread.start()
    except RuntimeError:  # "can't start new thread"
        return aside(), here()
    try:
        result = here()
    finally:
        thread.join()
    if errors:
        raise errors[0]
    return results[0], result


def map_ordered(
    items: Iterable[Item],
    make_function: Callable[[], Callable[[Item], Result]],
    *,
    workers: int,
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for each item, in order, several of them worked on at once.

    The items are taken on the caller's thread, at most four for each worker ahead of the result
    that is yielded, so memory doesn't grow with their number.  Closing the generator ends the
    threads: each finishes the item that it has, and begins no other.

    Args:
        items: what to work on.
        make_function: called once on each worker's thread; makes what that worker calls.
        workers: how many threads.

    Raises:
        Exception: whatever ``function`` raised for an item, where its result would be, or
            ``make_function``; and what ``items`` itself raises.  The generator has then ended.

    """
    from concurrent.futures import ThreadPoolExecutor  # a single picture does without

    local = threading.local()

    def call(item: Item) -> Result:
        if not hasattr(local, "function"):
            local.function = make_function()
        result: Result = local.function(item)
        return result

    pool = ThreadPoolExecutor(workers, thread_name_prefix="edge-worker")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) == workers * AHEAD:
                yield waiting.popleft().result()
            # What is done already need not wait for items that are slow to come.
            while waiting and waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
