"""The same work on many threads at once."""

import threading
import time


def in_parallel(count, work):
    """Runs work(i) on `count` threads at once; returns the results in order, raises what one raised."""
    results, faults = [None] * count, []

    def run(i):
        try:
            results[i] = work(i)
        except BaseException as fault:  # handed to the test's own thread
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return results


def again_and_again(count, seconds, work, least=20):
    """Runs work(i, turn) on `count` threads, turn after turn, until the time is over and each had `least` turns, however slow
    the machine is; returns how many turns there were."""
    end = time.monotonic() + seconds

    def run(i):
        turn = 0
        while time.monotonic() < end or turn < least:
            work(i, turn)
            turn += 1
        return turn

    return sum(in_parallel(count, run))
