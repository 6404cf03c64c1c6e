"""The same work on many threads at once."""

import threading


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
