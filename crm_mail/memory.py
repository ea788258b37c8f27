"""The collector of long-lived processes, told what need not be looked at again and again."""

import gc


def settle() -> None:
    """Leave what is loaded by now out of every later collection, and collect after thousands of objects, not hundreds.

    What is there stays as long as the process, and a batch of mail is many thousand objects that are no garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
